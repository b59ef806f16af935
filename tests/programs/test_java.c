/* Java: finds its calls by dlsym, starts its children through a helper of its own, and ends by halting. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(java, .fini = fct_teardown, .timeout = 120);

/* The machine's performance data would stand in /tmp, under its pid. */
#define JAVA "java -XX:-UsePerfData -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Djava.io.tmpdir=\"$BASE\" "

static struct fct_case compiled(const char *imports, const char *body) {
  fct_need("javac");
  fct_need("java");
  return (struct fct_case){.setup =
                               fct_format("mkdir classes; cat > Main.java <<'END'\n%s\n"
                                          "public class Main {\n%s\n}\nEND\n"
                                          "javac -J-XX:-UsePerfData -J-XX:TieredStopAtLevel=1 -d classes Main.java\n",
                                          imports, body),
                           .script = "cd base && exec " JAVA "-cp ../classes Main"};
}

Test(java, files_of_every_library) {
  const struct fct_case what = compiled(
      "import java.io.*; import java.nio.ByteBuffer; import java.nio.channels.*; import java.nio.file.*; "
      "import java.util.*;\n"
      "import java.util.zip.*; import static java.nio.file.StandardOpenOption.*;",
      "public static void main(String[] a) throws Exception {\n"
      "  File kept = File.createTempFile(\"pre\", \".suf\"), gone = File.createTempFile(\"gone\", null); "
      "gone.deleteOnExit();\n"
      "  try (FileWriter w = new FileWriter(kept)) { w.write(\"x\"); } System.out.println(kept.length());\n"
      "  Path d = Files.createTempDirectory(\"dir\"), f = Files.createTempFile(d, \"in\", \"side\"); "
      "Files.writeString(f, \"text\");\n"
      "  Files.createDirectories(Path.of(\"a/b/c\")); Files.copy(f, Path.of(\"copy\")); Files.move(Path.of(\"copy\"), "
      "Path.of(\"a/moved\"));\n"
      "  Files.move(f, Path.of(\"a/moved\"), StandardCopyOption.ATOMIC_MOVE); Files.createLink(Path.of(\"hard\"), "
      "Path.of(\"a/moved\"));\n"
      "  Files.createSymbolicLink(Path.of(\"soft\"), Path.of(\"hard\")); Files.delete(Path.of(\"soft\"));\n"
      "  for (StandardOpenOption o : new StandardOpenOption[] {CREATE_NEW, CREATE, TRUNCATE_EXISTING, APPEND, "
      "CREATE_NEW})\n"
      "    try (var c = Files.newOutputStream(Path.of(\"options\"), o, WRITE)) { c.write(1); System.out.println(o); }\n"
      "    catch (IOException e) { System.out.println(e); }\n"
      "  try (RandomAccessFile r = new RandomAccessFile(\"random\", \"rw\")) { r.setLength(9000); "
      "FileLock l = r.getChannel().lock();\n"
      "    r.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 9000).put(0, (byte) 7); l.release(); "
      "System.out.println(r.read()); }\n"
      "  try (var s = FileChannel.open(Path.of(\"on-close\"), CREATE, WRITE, DELETE_ON_CLOSE)) { "
      "s.write(ByteBuffer.wrap(new byte[9])); }\n"
      "  try (var z = new ZipOutputStream(new FileOutputStream(\"z.zip\"))) { z.putNextEntry(new ZipEntry(\"e\")); "
      "z.write(1); }\n"
      "  try (var z = FileSystems.newFileSystem(Path.of(\"z.zip\"), (ClassLoader) null)) { "
      "Files.writeString(z.getPath(\"more\"), \"y\"); }\n"
      "  System.out.println(new File(\"hard\").renameTo(new File(\"renamed\")) + \" \" + new File(\"a\").delete());\n"
      "  Thread[] ts = new Thread[4]; for (int i = 0; i < 4; i++) { int n = i; (ts[i] = new Thread(() -> { try {\n"
      "    for (int j = 0; j < 50; j++) { Path p = Path.of(\"t\" + n + \"-\" + j); Files.createFile(p); "
      "if (j % 2 == 0) Files.delete(p); }\n"
      "  } catch (IOException e) { System.out.println(e); } })).start(); } for (Thread t : ts) t.join();\n"
      "  try (var l = Files.list(Path.of(\".\"))) { System.out.println(l.count()); }\n"
      "  Runtime.getRuntime().addShutdownHook(new Thread(() -> new File(\"hook\").mkdir())); System.exit(5);\n"
      "}");
  fct_leaves_nothing(&what);
}

/* A helper program with posix_spawn(), then vfork() and fork() in the Java process itself. */
Test(java, processes_and_a_halt) {
  struct fct_case what = compiled(
      "import java.io.*; import java.nio.file.*; import java.util.concurrent.TimeUnit;",
      "static void run(ProcessBuilder b) throws Exception {\n"
      "  Process p = b.redirectErrorStream(true).start(); p.getOutputStream().close();\n"
      "  String out = new String(p.getInputStream().readAllBytes()); System.out.println(out + p.waitFor()); }\n"
      "static ProcessBuilder sh(String script) { return new ProcessBuilder(\"sh\", \"-c\", script); }\n"
      "public static void main(String[] a) throws Exception {\n"
      "  run(sh(\"echo 1 > one; cd /proc/self/fd; echo *; exit 3\")); new File(\"d\").mkdir();\n"
      "  run(sh(\"echo 2 > two; sh -c 'exec sh -c \\\"cat two; : > three\\\"'\").directory(new File(\"d\")));\n"
      "  System.out.println(sh(\"echo out; echo err >&2\").redirectOutput(new File(\"out\"))\n"
      "    .redirectError(new File(\"err\")).start().waitFor());\n"
      "  Process p = sh(\"echo 4 > four; echo up; exec sleep 60\").start(); "
      "System.out.println(p.getInputStream().read());\n"
      "  p.destroyForcibly(); System.out.println(p.waitFor());\n"
      "  try { run(new ProcessBuilder(\"no-such-program\")); } catch (IOException e) { "
      "System.out.println(\"no such\"); }\n"
      "  for (Process q : ProcessBuilder.startPipeline(java.util.List.of(sh(\"echo piped | tee five\"), "
      "sh(\"cat > six\")))) q.waitFor();\n"
      "  System.out.println(Files.readString(Path.of(\"six\")) + String.join(\" \", "
      "new java.util.TreeSet<>(java.util.Arrays.asList(new File(\".\").list()))));\n"
      "  Runtime.getRuntime().halt(4);\n"
      "}");
  what.script = "cd base; for how in POSIX_SPAWN VFORK FORK; do mkdir $how; (cd $how; " JAVA
                "-Djdk.lang.Process.launchMechanism=$how -cp ../../classes Main); echo $how $?; done";
  fct_leaves_nothing(&what);
}

Test(java, a_source_file_run_as_a_program_and_killed) {
  fct_need("javac");
  FCT_LEAVES_NOTHING(
          .setup =
              "cat > Main.java <<'END'\npublic class Main { public static void main(String[] a) throws Exception {\n"
              "  java.io.File.createTempFile(\"abc\", \"d\").deleteOnExit(); System.out.println(\"made\");\n"
              "  Runtime.getRuntime().exec(new String[] {\"kill\", \"-9\", \"\" + ProcessHandle.current().pid()});\n"
              "  Thread.sleep(60000); } }\nEND\n",
          .script = "cd base && exec " JAVA "../Main.java", .killed = true, .lingers = true);
}
