# SPDX-License-Identifier: MIT
"""
Who may touch the fields of a struct: one owner for each, so that a change of it has one place.
circles.py, which has read the code already, runs this rule.
"""
# struct -> the modules of src/ that may name its fields. The header that defines it always may.
OWNERS = {
    # The members of struct volley_worker. (vly_shared is everybody's by its purpose.)
    "vly_intake": ("path/pipeline", "path/packet"),
    "vly_arena": ("path/arena",),
    "vly_outbox": ("path/outbox",),
    "vly_sender": ("path/sender",),
    "vly_socks": ("path/socks",),
    "vly_crew": ("path/handlers", "path/handler"),
    "vly_books": ("path/ledger",),
    "vly_snapshot": ("path/snapshot",),
    "vly_drain": ("path/drain",),
    "vly_life": ("worker/life",),
    "vly_presence": ("worker/presence",),
    "vly_worker_thread": ("worker/worker_thread",),
    "vly_turn": ("worker/turn",),
    "vly_loop": ("worker/loop_ops", "worker/loop_event", "worker/loop_base", "worker/loop_fd",
                 "worker/loop_new", "worker/polled"),
    "vly_timers": ("worker/timers",),
    "vly_mail": ("path/mail",),
    "vly_remote": ("path/remote",),
    "vly_held": ("path/held",),
    "vly_errand": ("worker/errand",),
    "vly_self": ("path/self",),
    # Those of struct vly_sock.
    "vly_queue": ("path/queue",),
    "vly_limits": ("path/limits",),
    "vly_drops": ("path/drops",),
    "vly_account": ("path/ledger",),
    "vly_outside": ("path/remote", "path/held"),
    "vly_watch": ("worker/loop_event", "worker/loop_fd", "worker/polled"),
    # And others that several threads or files see.
    "vly_gate": ("path/gate",),
    "vly_inbox": ("data/inbox",),
    "vly_ring": ("data/ring",),
    "vly_wheel": ("data/wheel",),
    "vly_lock": ("sys/lock", "sys/cond"),
    "vly_cond": ("sys/cond",),
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
