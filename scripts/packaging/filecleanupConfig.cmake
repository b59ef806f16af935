# find_package(filecleanup): the targets filecleanup::filecleanup (shared) and filecleanup::static.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/filecleanupTargets.cmake")
