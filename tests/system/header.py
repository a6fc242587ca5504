# SPDX-License-Identifier: MIT
"""What the public headers say, which is a promise, too."""
import os
import re

import harness


def get_comment(field):
    """What the public header says of a counter: that of the volley that is installed, or ours."""
    prefix = os.path.dirname(os.path.dirname(os.environ.get("VOLLEY_ECHO", "")))
    path = os.path.join(prefix, "include/volley/stats.h")
    if not os.path.exists(path):
        path = os.path.join(harness.TOP, "include/volley/stats.h")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return re.search(rf"(/\*\*(?:[^*]|\*(?!/))*\*/)\s*uint64_t {field};", text)[1]
