#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Plant one violation of each rule in a small tree of its own, and see that the rule tells it; a
tree without violations must pass. Usage: selftest.py
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "/* SPDX-License-Identifier: MIT */\n"
GOOD_HEADER = SPDX + """#ifndef VOLLEY_RING_H
#define VOLLEY_RING_H
#ifdef __cplusplus
extern "C" {
#endif
/**
 * Push.
 *
 * @param n  how many
 * @return 0
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_ring_push(int n);
#ifdef __cplusplus
}
#endif
#endif
"""
GOOD = {
    "src/data/ring.c": SPDX + '#include <string.h>\n#include "data/ring.h"\n#include "sys/raw.h"\n',
    "src/io/io_mmsg.c": SPDX + '#include "io/io_mmsg.h"\n',
    "src/io/io_msg.c": SPDX + '#include "data/ring.h"\n',
    "src/worker/loop_event.c": SPDX + '#include <event2/event.h>\n#include "path/send.h"\n',
    "src/server/handover/export.c": SPDX + '#include "server/handover/wire.h"\n'
                                           '#include "worker/life.h"\n',
    "src/base/err.c": SPDX + "static const struct name names[] = { NAME(EINVAL) };\n",
    "include/volley/ring.h": GOOD_HEADER,
    "README.md": "[ring.h](include/volley/ring.h)\n",
    "examples/echo.c": SPDX + "#include <volley/volley.h>\n",
}
# (rule, file, its text, what the report must contain)
BAD = [
    ("text", "src/data/ring.c", "int x;\n", "SPDX"),
    ("text", "src/data/ring.c", SPDX + "/* " + "x" * 100 + " */\n", "columns"),
    ("text", "src/data/ring.c", SPDX + "\t" * 12 + "abcde;\n", "columns"),
    ("text", "src/data/ring.c", SPDX + "int x; \n", "white space"),
    ("text", "src/data/ring.c", SPDX + "\n" * 500, "500 are allowed"),
    ("text", "examples/dns/answer.c", SPDX, "not long any more"),
    ("text", "src/data/ring.c", SPDX + "#ifdef __linux__\n#endif\n", "belongs into"),
    ("text", "tests/unit/test_x.c", SPDX + "static void end(void)\n{\n\tcr_assert(0);\n}\n\n"
     "TestSuite(x, .fini = end);\n", "TEARDOWN_CHECK"),
    ("text", "include/volley/ring.h", GOOD_HEADER.replace("__cplusplus", "__linux__"),
     "belongs into"),
    ("layers", "src/data/ring.c", SPDX + '#include "io/io.h"\n', "data may not include io"),
    ("layers", "src/sys/raw.c", SPDX + '#include "data/ring.h"\n', "sys may not include data"),
    ("layers", "src/cancel/cancel.c", SPDX + '#include "base/mem.h"\n', "cancel may not include"),
    ("layers", "src/io/io_msg.c", SPDX + '#include "io/io_mmsg.h"\n', "may not know"),
    ("layers", "src/base/mem.c", SPDX + '#include "sys/raw.h"\n', "base may not include sys"),
    ("layers", "src/path/send.c", SPDX + '#include "worker/life.h"\n', "path may not include"),
    ("layers", "src/path/send.c", SPDX + '#include "server/handover/wire.h"\n',
     "path may not include server"),
    ("layers", "src/worker/life.c", SPDX + '#include "server/server.h"\n', "worker may not"),
    ("layers", "src/io/io.c", SPDX + '#include "path/send.h"\n', "io may not include path"),
    ("layers", "src/server/handover/wire.c", SPDX + "#include <event2/event.h>\n", "alone"),
    ("layers", "src/server/more/wire.c", SPDX, "in no layer"),
    ("layers", "src/worker/life.c", SPDX + "#include <event2/event.h>\n", "alone"),
    ("layers", "src/worker/life.c", SPDX + "#include <bsd/string.h>\n", "third-party"),
    ("layers", "src/other/worker.c", SPDX, "in no layer"),
    ("layers", "examples/echo.c", SPDX + '#include "data/ring.h"\n', "is internal"),
    ("layers", "include/volley/ring.h", SPDX + '#include "data/ring.h"\n', "public headers use"),
    ("layers", "include/volley/ring.h", SPDX + "#include <vector>\n", "third-party"),
    ("layers", "include/volley/ring.hpp", SPDX + "#include <boost/asio.hpp>\n", "third-party"),
    ("text", "include/volley/ring.hpp", SPDX + "#ifdef __cpp_exceptions\n#endif\n", "belongs into"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("@return", "returns"), "@return"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("@threads", ""), "@threads"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("@blocks", ""), "@blocks"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("@param n", "@param m"),
     "a parameter that it does not have"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("VOLLEY_API ", ""),
     "not VOLLEY_API"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("/**", "/*"), "no doc comment"),
    ("contract", "include/volley/ring.h", GOOD_HEADER.replace("0\n", "0 or -EPROTO\n"),
     "no name of EPROTO"),
    ("contract", "README.md", "ring.h\n", "does not link"),
]


def run(rule, changed):
    with tempfile.TemporaryDirectory() as top:
        for path, text in {**GOOD, **changed}.items():
            path = os.path.join(top, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return subprocess.run([sys.executable, os.path.join(HERE, rule + ".py"), top],
                              capture_output=True, text=True, check=False)


def main():
    passed, failed = 0, 0
    for rule in ("text", "layers", "contract"):
        done = run(rule, {})
        if done.returncode:
            print(f"{rule} fails a tree without violations: {done.stdout}{done.stderr}")
        failed += done.returncode != 0
        passed += done.returncode == 0
    for rule, path, text, expected in BAD:
        done = run(rule, {path: text})
        seen = done.returncode == 1 and expected in done.stdout
        if not seen:
            print(f"{rule} does not tell '{expected}' in {path}: {done.stdout}{done.stderr}")
        passed += seen
        failed += not seen
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
