# SPDX-License-Identifier: MIT
"""
Who may touch the fields of a struct: one owner for each, so that a change of it has one place.
circles.py, which has read the code already, runs this rule.
"""
# struct -> the modules of src/ that may name its fields. The header that defines it always may.
OWNERS = {
}


def check(facts, owners=None):
    owners = OWNERS if owners is None else owners
    touched = {}
    for where, module, struct, field in facts.fields:
        allowed = owners.get(struct)
        if allowed is not None and module.partition("/")[2] not in allowed:
            touched.setdefault((module, struct, field), []).append(where)
    for (module, struct, field), places in sorted(touched.items()):
        yield f"{min(places)}: {struct}.{field} belongs to {' and '.join(owners[struct])}"
