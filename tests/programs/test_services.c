/* Servers: a master that forks workers, daemons that outlive their starter, sockets, crashes and recoveries. With all
 * of their data below the base nothing stays; with data of the user's there, the data is whole afterwards.
 *
 * They talk over unix sockets in the base, so that no port is needed. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(services, .fini = fct_teardown, .timeout = 280);

#define NOBODY 65534

/* Some servers refuse to run as root. */
static uid_t service_user(void) {
  if (geteuid() != 0) return 0;
  fct_need_build_for(NOBODY);
  return NOBODY;
}

/* Waits for processes that are nobody's children here; the run has a time limit. */
#define WAIT_UNTIL(condition) "until " condition "; do sleep 0.02; done\n"

/* After a crash: what the session makes last, to see that it was cleaned up at all. What was killed may be dying still
 * when the script ends, and then the next start cleans up. */
#define MAKE_OWN "mkdir $BASE/own; touch $BASE/own/x\n"
#define OWN_IS_GONE FCT_LIST("base/own", "base/own/x")

/* ---- PostgreSQL ---- */

/* Its programs are not in the PATH of most distributions. */
#define PG_PATH "for d in /usr/lib/postgresql/*/bin; do PATH=$d:$PATH; done\n"

/* Initialize, start, stop, query; fsync would only test the disk. $D is the data directory. What is to be killed is run
 * as a child of the shell: while nobody waits for a dead postmaster, its pid is in use, and another one refuses to
 * start. */
#define PG_COMMANDS                                                                                                      \
  PG_PATH                                                                                                                \
  "pg_init() { initdb -D $D -U me -A trust --no-sync --wal-segsize=1 > initdb.log 2>&1 || cat initdb.log\n"              \
  "  printf '%s\\n' \"unix_socket_directories = '$BASE'\" \"listen_addresses = ''\" fsync=off autovacuum=off"            \
  " shared_buffers=4MB max_wal_size=32MB >> $D/postgresql.conf; }\n"                                                     \
  "pg_start() { pg_ctl -s -w -D $D -l server.log start; echo started $?; }\n"                                            \
  "pg_stop() { pg_ctl -s -w -D $D -m fast stop; echo stopped $?; }\n"                                                    \
  "pg_run() { postgres -D $D >> server.log 2>&1 & p=$!\n"                                                                \
  "  until pg_isready -q -h $BASE; do kill -0 $p || cat server.log; sleep 0.02; done; }\n"                               \
  "pg_kill() { kill -9 $p $(cat /proc/$p/task/$p/children) 2> /dev/null; { wait $p; } 2> /dev/null; echo killed $?; }\n" \
  "sql() { psql -h $BASE -U me -d postgres -X -q -A -t -v ON_ERROR_STOP=1 -c \"$1\"; }\n"

#define PG_LOAD                                                                                                        \
  "sql \"create table t(x int primary key, y text); insert into t select i, repeat('x', 100) from "                    \
  "generate_series(1, 30000) i; set work_mem = '64kB'; create temp table s as select * from t order by y, x desc;"     \
  " create index on t(y); select count(*) from s\"\n"

#define PG_CHANGE                                                                                                      \
  "sql \"update t set y = x where x % 3 = 0\"; sql 'vacuum full t'; sql checkpoint; sql 'create database other'\n"     \
  "sql 'create table u as select * from t; select count(*) from u'; sql 'reindex table t'; sql 'drop table u'\n"       \
  "sql 'delete from t where x > 29000; select count(*), sum(x) from t'; sql 'select pg_switch_wal() is null'\n"

static void need_postgres(void) {
  struct fct_world *world = fct_world_new();
  if (FCT_EXECUTE(world, .script = PG_PATH "command -v initdb && command -v psql").status) {
    cr_skip("PostgreSQL is not installed");
  }
}

Test(services, postgresql_crashed_recovered_and_stopped_leaves_nothing) {
  need_postgres();
  FCT_LEAVES_NOTHING(.uid = service_user(), .lingers = true,
                     .script =
                         "D=$BASE/data\n" PG_COMMANDS "cd base; pg_init; pg_run\n" PG_LOAD
                         "sql 'select 1 from missing'; sql checkpoint; sql \"insert into t select i, 'late' from "
                         "generate_series(40001, 50000) i\"\n"
                         "pg_kill; pg_run; sql 'select count(*) from t'; grep -c 'redo done' server.log\n" PG_CHANGE
                         "pg_stop; wait $p; echo $?; ls data | wc -l\n");
}

Test(services, postgresql_that_nobody_stops_leaves_nothing_when_it_is_killed) {
  need_postgres();
  FCT_LEAVES_NOTHING(.uid = service_user(), .lingers = true, .killed = true,
                     .script = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_init; pg_run\n" PG_LOAD "pg_kill; exit 3\n");
}

Test(services, a_postgresql_database_of_the_user_is_whole) {
  need_postgres();
  FCT_USER_DATA_WHOLE(.uid = service_user(), .lingers = true,
                      .setup = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_init; pg_start\n" PG_LOAD "pg_stop",
                      .script = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_start\n" PG_CHANGE "pg_stop\n",
                      .verify =
                          "D=$BASE/data\n" PG_COMMANDS "cd base; pg_start; pg_dump -h $BASE -U me -c -C postgres | "
                          "grep -v restrict | md5sum; sql 'select count(*), sum(x) from t'\n"
                          "sql 'select datname from pg_database order by 1'; pg_stop; pg_controldata $D | grep state\n",
                      .vary = FCT_LIST("base/data/*", "base/initdb.log", "base/server.log"));
}

Test(services, a_postgresql_database_of_the_user_is_whole_after_a_crash) {
  need_postgres();
  FCT_USER_DATA_WHOLE(
          .uid = service_user(), .lingers = true, .killed = true, .gone = OWN_IS_GONE,
          .setup = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_init; pg_start; pg_stop",
          .script = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_run\n" PG_LOAD PG_CHANGE
                    "sql \"insert into t select i, 'late' from generate_series(40001, 50000) i\"; pg_kill\n" MAKE_OWN,
          .verify = "D=$BASE/data\n" PG_COMMANDS "cd base; pg_start; sql 'select count(*), sum(x) from t'\n"
                    "grep -c 'redo done' server.log; pg_dump -h $BASE -U me postgres | grep -v restrict | "
                    "md5sum; pg_stop\n",
          .vary = FCT_LIST("base/data/*", "base/initdb.log", "base/server.log"));
}

/* ---- Redis ---- */

/* $D is its directory. */
#define REDIS_COMMANDS                                                                                                 \
  "redis_start() { redis-server --port 0 --unixsocket $D/socket --dir $D --pidfile $D/pid --logfile $D/log"            \
  " --daemonize yes --save '' --appendonly \"$1\" --auto-aof-rewrite-percentage 0 > /dev/null; echo started $?\n"      \
  "  until test \"$(ask ping 2> /dev/null)\" = PONG; do sleep 0.02; done; }\n"                                         \
  "ask() { redis-cli -s $D/socket \"$@\"; }\n"                                                                         \
  "settled() { until ask info persistence | grep -q \"$1:0\"; do sleep 0.02; done; }\n"                                \
  "redis_end() { p=$(cat $D/pid); \"$@\"; while kill -0 $p 2> /dev/null && ! grep -q '^State:.Z' /proc/$p/status"      \
  " 2> /dev/null; do sleep 0.02; done; }\n"

#define REDIS_USE                                                                                                      \
  "ask set key value; ask eval \"for i = 1, 20000 do redis.call('set', 'k' .. i, i) end\" 0; ask save\n"               \
  "ask lpush list a b c; ask bgsave > /dev/null; settled rdb_bgsave_in_progress\n"                                     \
  "ask set late value; ask bgrewriteaof > /dev/null; settled aof_rewrite_in_progress\n"                                \
  "ask set later value; ask dbsize; ask get\n"

Test(services, redis_leaves_nothing) {
  fct_need("redis-server");
  fct_need("redis-cli");
  FCT_LEAVES_NOTHING(.lingers = true, .script =
                                          "D=$BASE\n" REDIS_COMMANDS "redis_start yes\n" REDIS_USE
                                          "redis_end ask shutdown save; ls base base/appendonlydir; echo $?\n"
                                          "redis_start yes; ask dbsize; redis_end kill -9 $(cat $D/pid); ls base\n"
                                          "redis_start no; ask dbsize; redis_end ask shutdown nosave\n");
}

Test(services, redis_that_outlives_its_starter_leaves_nothing) {
  fct_need("redis-server");
  fct_need("redis-cli");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result start =
        FCT_EXECUTE(world, .mode = *mode, .script = "D=$BASE\n" REDIS_COMMANDS "redis_start no; ask save\n");
    cr_expect_eq(start.status, 0);
    cr_expect_str_eq(start.out, "started 0\nOK\n");
    /* An outsider looks and ends it. */
    struct fct_result stop =
        FCT_EXECUTE(world, .script = "D=$BASE\n" REDIS_COMMANDS "ls base; ask set a b; ask bgsave > /dev/null\n"
                                     "settled rdb_bgsave_in_progress; ask get a; redis_end ask shutdown nosave\n");
    cr_expect_str_eq(stop.out, "dump.rdb\nlog\npid\nsocket\nOK\nb\n", "%s: %s", fct_mode_name(*mode), stop.out);
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world), "it does not end");
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

#define REDIS_OF_THE_USER(appendonly)                                                                                  \
  "mkdir base/redis; D=$BASE/redis\n" REDIS_COMMANDS "redis_start " appendonly                                         \
  "; ask set old kept; ask save; redis_end ask shutdown save\n"

/* What is lost is asked twice, before and after one more save. */
#define REDIS_VERIFY(appendonly)                                                                                       \
  "D=$BASE/redis\n" REDIS_COMMANDS "redis_start " appendonly                                                           \
  "; for k in old key k777 late later; do ask get $k; done; ask lrange list 0 -1; ask dbsize\n"                        \
  "redis_end ask shutdown save; ls base/redis; redis-check-rdb base/redis/dump.rdb > check; echo $?\n"

Test(services, a_redis_dump_of_the_user_is_whole) {
  fct_need("redis-server");
  fct_need("redis-cli");
  FCT_USER_DATA_WHOLE(.lingers = true, .setup = REDIS_OF_THE_USER("no"),
                      .script =
                          "D=$BASE/redis\n" REDIS_COMMANDS "redis_start no\n" REDIS_USE "redis_end ask shutdown save\n",
                      .verify = REDIS_VERIFY("no"), .vary = FCT_LIST("base/redis/*"));
}

Test(services, a_redis_log_of_the_user_is_whole_after_a_crash) {
  fct_need("redis-server");
  fct_need("redis-cli");
  FCT_USER_DATA_WHOLE(.lingers = true, .killed = true, .gone = OWN_IS_GONE, .setup = REDIS_OF_THE_USER("yes"),
                      .script = "D=$BASE/redis\n" REDIS_COMMANDS "redis_start yes\n" REDIS_USE
                                "redis_end kill -9 $(cat $D/pid)\n" MAKE_OWN,
                      .verify = REDIS_VERIFY("yes"), .vary = FCT_LIST("base/redis/*"));
}

/* ---- nginx ---- */

/* Uploads over the buffer are written to files below body/ and kept there; /put stores them by a rename; /get serves
 * what is larger than the proxy's buffers, through a cache on the disk. */
#define NGINX_CONFIGURATION                                                                                                \
  "cat > nginx.conf <<END\n"                                                                                               \
  "$USER\nworker_processes 2;\npid $BASE/pid;\nerror_log $BASE/error.log;\n"                                               \
  "events { }\nhttp {\n  access_log $BASE/access.log;\n  client_max_body_size 0;\n  client_body_buffer_size 8k;\n"         \
  "  client_body_temp_path $BASE/body 1 2;\n  proxy_temp_path $BASE/proxy;\n  fastcgi_temp_path $BASE/fastcgi;\n"          \
  "  uwsgi_temp_path $BASE/uwsgi;\n  scgi_temp_path $BASE/scgi;\n"                                                         \
  "  proxy_cache_path $BASE/cache levels=1:2 keys_zone=z:1m use_temp_path=on;\n"                                           \
  "  proxy_buffer_size 4k;\n  proxy_buffers 4 4k;\n  proxy_busy_buffers_size 8k;\n"                                        \
  "  server {\n    listen unix:$BASE/front;\n"                                                                             \
  "    location /up { client_body_in_file_only on; proxy_pass http://unix:$BASE/back:/answer; }\n"                         \
  "    location /clean { client_body_in_file_only clean; proxy_pass http://unix:$BASE/back:/answer; }\n"                   \
  "    location /put { root $BASE; dav_methods PUT DELETE MOVE; create_full_put_path on; }\n"                              \
  "    location /get { proxy_pass http://unix:$BASE/back:/put; proxy_cache z; proxy_cache_valid 1m; }\n  }\n"              \
  "  server {\n    listen unix:$BASE/back;\n    location /answer { return 200 got; }\n    location /put { root $BASE; }\n" \
  "  }\n}\nEND\n"

#define NGINX_USE                                                                                                                              \
  "ask() { curl -s --unix-socket $BASE/front -w ' %{http_code}\\n' \"$@\"; }\n" WAIT_UNTIL(                                                    \
      "test -S base/back") "seq 400000 > upload; for i in 1 2 3 4 5 6; do ask -T upload http://x/up > answer$i & c=\"$c $!\"; done; wait $c\n" \
                           "cat answer?; find base/body -type f | wc -l; ask -T upload http://x/clean; ask -T upload http://x/put/a/b\n"       \
                           "ask http://x/get/a/b | md5sum; ask http://x/get/a/b -o copy; cmp copy upload; find base/cache -type f | wc -l\n"   \
                           "ask -X DELETE http://x/put/a/b; ask -T upload http://x/put/a/c; ask http://x/no; rm answer?\n"                     \
                           "ask --limit-rate 100k -m 1 -T upload http://x/up > cut; rm cut; ask http://x/put/a/c | wc -c\n"

#define NGINX "nginx -e $BASE/error.log -c $PWD/nginx.conf"

Test(services, nginx_in_the_foreground_leaves_nothing) {
  fct_need("nginx");
  fct_need("curl");
  FCT_LEAVES_NOTHING(.uid = service_user(), .lingers = true, .setup = NGINX_CONFIGURATION,
                     .script =
                         NGINX " -g 'daemon off;' & n=$!\n" NGINX_USE
                               "kill -HUP $n; sleep 0.2; ask -T upload http://x/up; kill -QUIT $n; wait $n; echo $?\n",
                     .vary = FCT_LIST("nginx.conf"));
}

Test(services, nginx_as_a_daemon_leaves_nothing) {
  fct_need("nginx");
  fct_need("curl");
  FCT_LEAVES_NOTHING(.uid = service_user(), .lingers = true, .setup = NGINX_CONFIGURATION,
                     .script = NGINX "; echo $?\n" NGINX_USE NGINX " -s stop; echo $?\n",
                     .vary = FCT_LIST("nginx.conf"));
}

Test(services, nginx_whose_workers_have_dropped_root_leaves_nothing) {
  fct_need("nginx");
  fct_need("curl");
  fct_need_root();
  FCT_LEAVES_NOTHING(.lingers = true, .setup = "USER='user nobody nogroup;'; chmod 1777 base\n" NGINX_CONFIGURATION,
                     .script = NGINX "; echo $?\n" NGINX_USE NGINX " -s quit; echo $?\n",
                     .vary = FCT_LIST("nginx.conf"));
}

Test(services, nginx_killed_with_all_its_workers_leaves_nothing) {
  fct_need("nginx");
  fct_need("curl");
  FCT_LEAVES_NOTHING(.uid = service_user(), .lingers = true, .killed = true, .setup = NGINX_CONFIGURATION,
                     .script =
                         NGINX "; echo $?\n" NGINX_USE
                               "p=$(cat base/pid); kill -9 $p $(cat /proc/$p/task/$p/children) 2> /dev/null; ls base\n",
                     .vary = FCT_LIST("nginx.conf"));
}
