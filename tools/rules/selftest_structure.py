#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The like of selftest.py for the rules that read syntax trees, circles.py (with owners.py) and
seams.py: plant one violation in a small tree, and see it told; sound trees must pass.
Usage: selftest_structure.py
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import circles  # noqa: E402
import facts as facts_of  # noqa: E402
import gather  # noqa: E402
import owners  # noqa: E402
import seams  # noqa: E402
from small_tree import plant  # noqa: E402

owners.OWNERS = {"vly_outbox": ("path/outbox",)}

# A module that calls what somebody above stores: SLOT is filled in by server/store.c.
MAIL_H = "struct vly_mail { int n; void (*wake)(void); };\n"
MAIL_C = '#include "path/mail.h"\nvoid vly_mail_post(struct vly_mail *mail);\n'
STORE_C = ('#include "path/mail.h"\n#include "server/server.h"\n'
           "void vly_store_do(struct vly_mail *mail);\n")
TWO = "struct vly_a { int n; };\n"


def mail(post, store, declare=MAIL_H):
    return {"src/path/mail.h": declare, "src/path/mail.c": MAIL_C + post,
            "src/server/store.c": STORE_C + store}


def b_uses_a(text):
    """data/b.c uses what server/a.h defines and names neither: another header brings it along."""
    return {"src/server/a.h": TWO + "enum { VLY_ONE };\n",
            "src/data/all.h": '#include "../server/a.h"\n',
            "src/data/b.c": '#include "all.h"\n' + text}


FIELD_CALL = "void vly_mail_post(struct vly_mail *mail) { mail->wake(); }\n"
UP = "upward: src/path/mail -> src/server/server: call through "
# (rule, what is changed, what the report must contain; None: nothing)
TREES = [
    ("circles", {}, None),
    ("seams", {}, None),
    ("circles", {"src/data/ring.c": '#include "data/ring.h"\nvoid vly_slots_do(void);\n'
                 "void vly_ring_push(struct vly_ring *r) { (void)r; vly_slots_do(); }\n",
                 "src/data/slots.c": '#include "data/ring.h"\nvoid vly_slots_do(void);\n'
                 "void vly_slots_do(void) { vly_ring_push((void *)0); }\n"},
     "circle of 2 files: data/ring data/slots"),
    ("circles", {"bench/a.c": "void a(void), b(void);\nvoid a(void) { b(); }\n",
                 "bench/b.c": "void a(void), b(void);\nvoid b(void) { a(); }\n"},
     "circle of 2 files: a b"),
    # Upward: an include, and a call by an own declaration.
    ("circles", {"src/path/send.c": '#include "server/server.h"\n'},
     "upward: src/path/send -> src/server/server: include server.h"),
    ("circles", {"src/path/send.c": "void vly_server_wake(void);\nvoid vly_send(void);\n"
                 "void vly_send(void) { vly_server_wake(); }\n"},
     "upward: src/path/send -> src/server/server: call vly_server_wake"),
    # Hidden in a field: by assignment, and by initialisers of each kind.
    ("circles", mail(FIELD_CALL, "void vly_store_do(struct vly_mail *mail)\n"
                     "{ mail->wake = vly_server_wake; }\n"), UP + "vly_mail.wake"),
    ("circles", mail(FIELD_CALL, "void vly_store_do(struct vly_mail *mail)\n"
                     "{ *mail = (struct vly_mail){ .wake = vly_server_wake }; }\n"),
     UP + "vly_mail.wake"),
    ("circles", mail(FIELD_CALL, "struct vly_mail all[] = { [1] = { 0, vly_server_wake } };\n"),
     UP + "vly_mail.wake"),
    # A local copy, a pointer to the place, a result, and a function that is only handed on.
    ("circles", mail("void vly_mail_post(struct vly_mail *mail)\n"
                     "{ void (*fn)(void) = mail->n ? mail->wake : 0; (*fn)(); }\n",
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ void (**at)(void) = &mail->wake; *at = vly_server_wake; }\n"), UP + "fn"),
    ("circles", mail("static void (*get(struct vly_mail *mail))(void) { return mail->wake; }\n"
                     "void vly_mail_post(struct vly_mail *mail) { get(mail)(); }\n",
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ mail->wake = vly_server_wake; }\n"), UP + "pointer"),
    ("circles", mail("void vly_each(int n, void (*fn)(void));\n"
                     "static void each(void (*go)(void)) { go(); }\n"
                     "void vly_each(int n, void (*fn)(void)) { (void)n; each(fn); }\n",
                     "void vly_each(int n, void (*fn)(void));\n"
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ vly_each(mail->n, vly_server_wake); }\n"), UP + "go"),
    ("circles", mail("static void (*get(void (*fn)(void)))(void) { return fn; }\n"
                     "static void (*(*at)(void (*)(void)))(void) = get;\n"
                     "void vly_mail_post(struct vly_mail *mail) { at(mail->wake)(); }\n",
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ mail->wake = vly_server_wake; }\n"), UP + "pointer"),
    ("circles", mail("void vly_mail_post(struct vly_mail *mail)\n"
                     "{ atomic_load_explicit(&mail->wake, memory_order_acquire)(); }\n",
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ atomic_store_explicit(&mail->wake, vly_server_wake, "
                     "memory_order_release); }\n",
                     "#include <stdatomic.h>\n"
                     "struct vly_mail { void (*_Atomic wake)(void); };\n"), UP + "pointer"),
    # A function that comes as an argument of a call through a pointer.
    ("circles", mail("static void run(void (*fn)(void)) { fn(); }\n"
                     "void (*vly_run)(void (*)(void)) = run;\n",
                     "extern void (*vly_run)(void (*)(void));\n"
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ (void)mail; vly_run(vly_server_wake); }\n"), UP + "fn"),
    # The user's callbacks and tables of siblings are excused, and nothing else is.
    ("circles", mail(FIELD_CALL, "void vly_store_do(struct vly_mail *mail)\n"
                     "{ mail->wake = vly_server_wake; }\n",
                     "#include <volley/server.h>\n"
                     "struct vly_mail { volley_wake_fn wake; };\n"), None),
    ("circles", {"src/path/hook.c": "#include <volley/server.h>\n"
                 "void vly_hook(struct volley_config *c);\n"
                 "void vly_hook(struct volley_config *c) { c->on_start(); }\n",
                 "src/server/store.c": '#include <volley/server.h>\n#include "server/server.h"\n'
                 "struct volley_config vly_hooks = { vly_server_wake };\n"}, None),
    # What a condition looks at is not stored, and a static function has no namesake elsewhere.
    ("circles", mail("void vly_mail_post(struct vly_mail *mail)\n"
                     "{ void (*fn)(void) = mail->wake ? 0 : 0; fn(); }\n",
                     "void vly_store_do(struct vly_mail *mail)\n"
                     "{ mail->wake = vly_server_wake; }\n"), None),
    ("circles", {"src/path/same.c": "static void go(void) { }\nvoid (*vly_go)(void) = go;\n",
                 "src/path/use.c": "extern void (*vly_go)(void);\nvoid vly_use(void);\n"
                 "void vly_use(void) { vly_go(); }\n",
                 "src/server/same.c": "static void go(void) { }\nvoid (*vly_no)(void) = go;\n"},
     None),
    # Only a struct ties them: its member, its size, its value in another struct.
    ("circles", {"src/data/a.h": TWO + "void vly_b(struct vly_a *a);\n", "src/data/b.c":
                 '#include "all.h"\nvoid vly_b(struct vly_a *a) { a->n = 0; }\n',
                 "src/data/a.c": "struct vly_a;\nvoid vly_b(struct vly_a *a);\n"
                 "void vly_do(void);\nvoid vly_do(void) { vly_b((void *)0); }\n",
                 "src/data/all.h": '#include "data/a.h"\n'},
     "data/b -> src/data/a: struct vly_a.n"),
    ("circles", b_uses_a("int vly_b = sizeof(struct vly_a);\n"),
     "upward: src/data/b -> src/server/a: size of struct vly_a"),
    ("circles", b_uses_a("struct vly_a vly_b;\n"), "data/b -> src/server/a: struct vly_a"),
    ("circles", b_uses_a("struct vly_b { struct vly_a a[2]; };\n"), "server/a: struct vly_a"),
    ("circles", b_uses_a("void vly_b(struct vly_a *a, struct vly_a *b);\n"
                         "void vly_b(struct vly_a *a, struct vly_a *b) { *a = *b; }\n"),
     "data/b -> src/server/a: struct vly_a"),
    ("circles", b_uses_a("struct vly_a *vly_b(struct vly_a *a);\n"
                         "struct vly_a *vly_b(struct vly_a *a) { return a + 1; }\n"),
     "data/b -> src/server/a: size of struct vly_a"),
    ("circles", b_uses_a("int vly_b = VLY_ONE;\n"), "data/b -> src/server/a: constant VLY_ONE"),
    # What is not built here is read all the same, assembly too; what cannot be read is told.
    ("circles", {"src/path/left_out_too.c": "void vly_server_wake(void);\nvoid vly_x(void);\n"
                 "void vly_x(void) { vly_server_wake(); }\n"}, "upward: src/path/left_out_too"),
    ("circles", {"src/path/twice.c": "#ifdef TWICE\nvoid vly_server_wake(void);\n"
                 "void *vly_x(void);\nvoid *vly_x(void) { return vly_server_wake; }\n#endif\n"},
     "upward: src/path/twice -> src/server/server: name vly_server_wake"),
    ("circles", {"src/cancel/window.S": "\t.globl vly_window\nvly_window:\tjmp vly_ring_push\n"},
     "upward: src/cancel/window -> src/data/ring"),
    ("circles", {"src/data/ring.c": "int x = unknown;\n"}, "undeclared identifier"),
    ("circles", {"src/path/send.c": '#include "path/outbox.h"\n'
                 "int vly_send(struct vly_outbox *o);\n"
                 "int vly_send(struct vly_outbox *o) { return o->n; }\n"},
     "vly_outbox.n belongs to path/outbox"),
    # The seam.
    ("seams", {"src/path/send.c": "#include <pthread.h>\n"
               "int vly_send(pthread_mutex_t *m);\n"
               "int vly_send(pthread_mutex_t *m) { return pthread_mutex_lock(m); }\n"},
     "send.c:3: pthread_mutex_lock of <pthread.h>"),
    ("seams", {"src/path/send.c": "#include <errno.h>\nint vly_send(void);\n"
               "int vly_send(void) { return -errno; }\n"}, "send.c:3: errno belongs"),
    ("seams", {"src/path/send.c": "int close(int fd);\nint vly_send(void);\n"
               "int vly_send(void) { return close(0); }\n"}, "close is declared here"),
    ("seams", {"src/base/clock.h": "#include <time.h>\nstatic inline long vly_now(void)\n"
               "{ struct timespec t; clock_gettime(0, &t); return t.tv_sec; }\n",
               "src/base/x.c": '#include "base/clock.h"\n'}, "clock.h:3: clock_gettime"),
    ("seams", {"src/sys/wake.c": "#include <unistd.h>\nint vly_wake(void);\n"
               "int vly_wake(void) { return close(0); }\n"},
     "wake.c:3: close is a cancellation point"),
]


def judge(rule, top):
    facts = gather.collect(top, top)
    if rule == "seams":
        return facts.problems + list(seams.check(facts))
    return circles.judge(facts, circles.arrows(facts)[0], facts_of.SCOPES)[1]


def exit_codes():
    """The scripts: 0 for a sound tree, 1 for a bad one or one that the build does not know."""
    bad = {"src/data/ring.c": "int x = unknown;\n"}
    for changed, tree, expected in (({}, ".", 0), (bad, ".", 1), ({}, "include", 1)):
        with tempfile.TemporaryDirectory() as top:
            plant(top, changed)
            for rule in ("circles", "seams"):
                done = subprocess.run([sys.executable, f"{HERE}/{rule}.py", ".", tree],
                                      cwd=top, capture_output=True, check=False)
                yield f"{rule}.py exits with {done.returncode}", done.returncode == expected


def main():
    results = list(exit_codes())
    for rule, changed, expected in TREES:
        with tempfile.TemporaryDirectory() as top:
            plant(top, changed)
            told = "\n".join(judge(rule, top))
        results.append((f"{rule} does not tell '{expected}' in {sorted(changed)}: {told}",
                        expected in told if expected else not told))
    for text, is_right in results:
        if not is_right:
            print(text)
    passed = sum(is_right for _, is_right in results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
