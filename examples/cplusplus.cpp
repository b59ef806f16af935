/* In C++ a manager and a scope are two small classes.
 *
 *   c++ -std=c++17 cplusplus.cpp $(pkg-config --cflags --libs filecleanup) && ./a.out BASE [fail]
 */
#include <filecleanup.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

class Manager {
public:
  explicit Manager(const std::string &base) {
    fcm_options options;
    fcm_options_init(&options);
    options.base_dir = base.c_str();
    manager_.reset(fcm_create(&options));
    if (!manager_) throw std::system_error(errno, std::generic_category(), base);
  }
  fcm_manager *get() const { return manager_.get(); }

private:
  struct Destroy {
    void operator()(fcm_manager *manager) const { fcm_destroy(manager); }
  };
  std::unique_ptr<fcm_manager, Destroy> manager_;
};

/* A scope that is left by an exception has failed. */
class TempFile {
public:
  TempFile(const Manager &manager, unsigned flags = 0)
      : scope_(fcm_scoped_new_file(manager.get(), nullptr, "cpp-", nullptr, flags, &fd_)) {
    if (!scope_) throw std::system_error(errno, std::generic_category(), "temporary file");
  }
  TempFile(const TempFile &) = delete;
  TempFile &operator=(const TempFile &) = delete;
  ~TempFile() {
    close(fd_);
    fcm_scope_exit(scope_, std::uncaught_exceptions() > before_ ? FCM_FAILED : FCM_SUCCEEDED);
  }
  std::string path() const { return fcm_scope_path(scope_); }
  int fd() const { return fd_; }

private:
  int before_ = std::uncaught_exceptions();
  int fd_ = -1;
  fcm_scope *scope_;
};

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  try {
    Manager manager(argv[1]);
    TempFile scratch(manager);
    TempFile evidence(manager, FCM_KEEP_ON_ERROR); /* stays when something goes wrong */
    std::string text = "made by C++\n";
    if (write(scratch.fd(), text.data(), text.size()) < 0 || write(evidence.fd(), text.data(), text.size()) < 0)
      throw std::system_error(errno, std::generic_category(), scratch.path());
    if (argc > 2) throw std::runtime_error("as you wish");
    std::puts("done");
  } catch (const std::exception &problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
  }
  return 0;
}
