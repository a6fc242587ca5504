# SPDX-License-Identifier: MIT
"""
A small sound tree for selftest_structure.py, with what it has to pass: a seam, floors, a table of
loops, a user's callback, and one of two files that are built.
"""
import json
import os

# Each .h stands for itself: no guards, for nothing is included twice.
GOOD = {
    "include/volley/server.h": "typedef void (*volley_wake_fn)(void);\n"
                               "struct volley_config { void (*on_start)(void); };\n",
    "src/sys/lock.c": "#include <errno.h>\n#include <pthread.h>\n#include <unistd.h>\n"
                      "int vly_lock(pthread_mutex_t *m)\n"
                      "{ dup(0); pthread_mutex_lock(m); return errno; }\n",
    # Either is built: each has its own vly_wait.
    "src/cancel/left_out.c": "void vly_wait(void), vly_do(void);\nvoid vly_wait(void) { }\n"
                             "void vly_do(void) { vly_wait(); }\n",
    "src/cancel/window.c": "void vly_wait(void), vly_do(void);\nvoid vly_wait(void) { }\n"
                           "void vly_do(void) { vly_wait(); }\n",
    "src/data/ring.h": "struct vly_ring { int n; };\nvoid vly_ring_push(struct vly_ring *ring);\n",
    "src/data/ring.c": '#include "data/ring.h"\n#include <errno.h>\n#include <string.h>\n'
                       "void vly_ring_push(struct vly_ring *ring)\n"
                       "{ memset(ring, -EINVAL, sizeof *ring);"
                       " ring->n = __builtin_expect(1, 1); }\n",
    "src/path/outbox.h": "struct vly_outbox { int n; };\nvoid vly_outbox_flush(void);\n",
    "src/path/outbox.c": '#include "path/outbox.h"\n#include "data/ring.h"\n'
                         "void vly_outbox_flush(void)\n"
                         "{ struct vly_ring ring; vly_ring_push(&ring); }\n",
    "src/worker/loop_ops.h": "struct vly_loop_ops { void (*run)(void); };\n"
                             "extern const struct vly_loop_ops vly_loop_spin_ops;\n",
    "src/worker/loop.h": "void vly_loop_run(void);\n",
    "src/worker/loop.c": '#include "worker/loop.h"\n#include "worker/loop_ops.h"\n'
                         "static const struct vly_loop_ops *const all[] = "
                         "{ [0] = &vly_loop_spin_ops };\n"
                         "void vly_loop_run(void) { all[0]->run(); }\n",
    "src/worker/life.h": "struct vly_loop_ops;\n"
                         "void vly_life_do(const struct vly_loop_ops *ops);\n"
                         "int vly_life_is_over(void);\n",
    "src/worker/life.c": '#include "worker/life.h"\n#include "worker/loop_ops.h"\n'
                         "void vly_life_do(const struct vly_loop_ops *ops) { ops->run(); }\n"
                         "int vly_life_is_over(void) { return 1; }\n",
    "src/worker/loop_spin.c": '#include "worker/life.h"\n#include "worker/loop_ops.h"\n'
                              '#include "path/outbox.h"\n'
                              "static void run(void)\n"
                              "{ if (!vly_life_is_over()) vly_outbox_flush(); }\n"
                              "const struct vly_loop_ops vly_loop_spin_ops = { .run = run };\n",
    "src/server/server.h": "void vly_server_wake(void);\n",
    "src/server/server.c": '#include "server/server.h"\n#include "worker/loop.h"\n'
                           "#include <volley/server.h>\n"
                           "static struct volley_config config = { 0 };\n"
                           "void vly_server_wake(void) { config.on_start(); vly_loop_run(); }\n",
    "bench/main.c": "int main(void) { return 0; }\n",
}


def plant(top, changed):
    """Write GOOD, changed, and the compile_commands.json that Meson would have made of it."""
    listed = []
    for path, text in {**GOOD, **changed}.items():
        full = os.path.join(top, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        if not path.endswith(".c") or "left_out" in path:
            continue
        for macro in ("-DONCE", "-DTWICE") if "twice" in path else ("-DONCE",):
            listed.append({"directory": top, "file": path, "output": "x.o", "arguments": [
                "clang-14", "-std=c11", "-D_GNU_SOURCE", macro, "-Iinclude",
                f"-iquote{top}/src", "-o", "x.o", "-c", path]})
    with open(os.path.join(top, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(listed, file)
