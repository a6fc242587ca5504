/* SPDX-License-Identifier: MIT */
/*
 * Spin model of a hot restart (docs/restart.md): both processes, the sockets, and all that can come
 * between them.
 *
 * Each wait may end by time at any moment, which is a pause of the other process as well. Either
 * process may be killed before any step, told to end (SIGTERM), and say nonsense once. Words stay
 * readable when who said them is gone; what is said to one that hung up is not said (EPIPE).
 *
 * What is claimed, by assertion:
 *	deaf      nobody breaks a socket that another process still holds
 *	left      the new process gives up only while the old one lives, has promised to serve on,
 *		  and has not begun to end; the old one goes only when TAKEN was said
 *	nobody    when nothing can move any more somebody reads, unless the outside has ended the
 *		  last one that had to
 *
 * A BAD_* define breaks one rule and must be found.
 */
mtype = { OFFER, READY, COUNTERS, TAKEN, GONE, RESUMED, QUIT, NONSENSE };

chan to_new = [6] of { mtype, bit };
chan to_old = [6] of { mtype };

/* What is so, whoever knows. */
bit o_alive = 1, o_reads = 1, o_holds = 1, o_open = 1;
bit n_alive = 1, n_reads, n_holds, n_open = 1;
bit o_promised; /* to serve on */
bit o_gone, n_gave_up, taken;

/* What the outside does. */
bit kill_o, kill_n, term_o, term_n;
bit nonsense = 1; /* may still be said */

inline say_to_new(word, bit_)
{
	if
	:: n_open -> to_new!word(bit_)
	:: n_open && nonsense -> nonsense = 0; to_new!NONSENSE(0)
	:: !n_open -> skip /* EPIPE: heard as an end when it waits */
	fi
}

inline say_to_old(word)
{
	if
	:: to_old!word
	:: nonsense -> nonsense = 0; to_old!NONSENSE
	fi
}

/* No other process may hold it, as far as its lease tells (leases.pml). */
inline break_socket(other_holds)
{
	assert(!other_holds)
}

proctype Old()
{
	bit ends;

	{
		if
		:: term_o -> goto fail
		:: say_to_new(OFFER, 0)
		fi;
		if
		:: atomic { to_old?READY -> o_reads = 0 }
		:: atomic { to_old?QUIT -> goto fail }
		:: atomic { to_old?NONSENSE -> goto fail }
		:: atomic { !n_open && empty(to_old) -> goto fail }
		:: term_o -> goto fail
		:: true -> goto fail /* late */
		fi;
		say_to_new(COUNTERS, 0);
#ifdef BAD_CLOSE_BEFORE_TAKEN
		atomic { assert(taken); o_holds = 0 };
#endif
		if
		:: atomic { to_old?TAKEN -> goto go }
		:: atomic { to_old?QUIT -> goto fail }
		:: atomic { to_old?NONSENSE -> goto fail }
		:: atomic { !n_open && empty(to_old) -> goto fail }
		:: term_o -> goto fail
		:: true -> goto fail
		fi;
go:
		atomic { assert(taken); o_holds = 0; o_gone = 1 };
		say_to_new(GONE, 0);
		atomic { o_open = 0; o_alive = 0; goto dead };
fail:
		/* Said before it is done. */
		atomic {
			ends = term_o;
			o_promised = !ends;
#ifdef BAD_PROMISE
			say_to_new(RESUMED, 0)
#else
			say_to_new(RESUMED, ends);
			if
			:: ends -> o_open = 0
			:: else
			fi
#endif
		};
#ifndef BAD_NO_RESUME
		o_reads = 1;
#endif
		/* Serves, and whoever relies on it hears when it begins to end. */
		term_o;
#ifdef BAD_NO_HANG_UP
		o_promised = 0;
#else
		atomic { o_promised = 0; o_open = 0 };
#endif
		atomic {
			if
#ifdef BAD_BREAK_AFTER_FAILURE
			:: true -> break_socket(n_holds)
#elif defined(BAD_DEATH_BY_EPIPE)
			:: !n_open -> break_socket(n_holds)
			:: n_open
#else
			:: !n_alive -> break_socket(n_holds)
			:: n_alive /* read until it is empty, and leave it */
#endif
			fi
		};
		atomic { o_reads = 0; o_holds = 0; o_open = 0; o_alive = 0 };
dead:		skip
	} unless {
		atomic {
			kill_o ->
			o_reads = 0; o_holds = 0; o_open = 0; o_promised = 0; o_alive = 0
		}
	}
}

proctype New()
{
	bit ends;

	{
		if
		:: atomic { to_new?OFFER(_) -> n_holds = 1 }
		:: to_new?RESUMED(ends) ->
			if
			:: ends -> goto first
			:: else -> goto leave
			fi
		:: atomic { to_new?NONSENSE(_) -> goto leave }
		:: atomic { !o_open && empty(to_new) -> goto first }
		:: true -> goto leave /* late; it has read nothing */
		fi;
		n_reads = 1;
		atomic {
			if
			:: o_open -> say_to_old(READY)
			:: !o_open -> goto hear_last
			fi
		};
		if
		:: to_new?COUNTERS(_)
		:: to_new?RESUMED(ends) -> goto resumed
		:: to_new?NONSENSE(_) -> goto serve
		:: to_new?GONE(_) -> goto serve
		:: atomic { !o_open && empty(to_new) -> goto serve }
#ifdef BAD_GIVE_UP_WHEN_LATE
		:: true -> goto give_up
#else
		:: true -> goto serve
#endif
		fi;
		atomic {
			if
			:: o_open -> taken = 1; say_to_old(TAKEN)
			:: !o_open -> goto hear_last
			fi
		};
		if
		:: to_new?GONE(_)
		:: to_new?RESUMED(_)
		:: to_new?NONSENSE(_)
		:: atomic { !o_open && empty(to_new) }
#ifdef BAD_GIVE_UP_AFTER_TAKEN
		:: true -> goto give_up
#else
		:: true
#endif
		fi;
		goto serve;
hear_last:
		if
		:: to_new?RESUMED(ends) -> goto resumed
		:: to_new?NONSENSE(_) -> goto serve
		:: to_new?COUNTERS(_) -> goto serve
		:: empty(to_new) -> goto serve
		fi;
resumed:
		atomic {
			if
			:: ends -> goto serve
#ifdef BAD_NO_QUIT
			:: !ends -> goto give_up
#else
			:: !ends && !o_alive -> goto serve
			:: !ends && o_alive && !o_open -> goto serve
			:: !ends && o_alive && o_open ->
				assert(o_promised);
				to_old!QUIT;
				n_gave_up = 1; n_open = 0; n_reads = 0;
				goto end
#endif
			fi
		};
give_up:
		/* Only rules that are broken come here. */
		atomic { assert(o_alive && o_promised); n_gave_up = 1; n_open = 0; n_reads = 0 };
		goto end;
first:
		atomic { !o_alive -> n_reads = 1; n_holds = 1 };
serve:
		n_open = 0; /* the conversation is over */
		term_n;
end:
		atomic {
			if
			:: !o_alive && !n_gave_up -> break_socket(o_holds)
#ifdef BAD_DEATH_BY_EPIPE
			:: !o_open -> break_socket(o_holds)
#endif
			:: o_alive
			:: n_gave_up
			fi
		};
		atomic { n_reads = 0; n_holds = 0; n_alive = 0 };
		goto dead;
leave:
		atomic { n_open = 0; n_reads = 0; n_holds = 0; n_alive = 0 };
dead:		skip
	} unless {
		atomic { kill_n -> n_reads = 0; n_holds = 0; n_open = 0; n_alive = 0 }
	}
}

proctype Outside()
{
	if
	:: kill_o = 1
	:: term_o = 1
	:: skip
	fi;
	if
	:: kill_n = 1
	:: term_n = 1
	:: skip
	fi
}

/* The same, the new one first. */
proctype Outside2()
{
	if
	:: kill_n = 1
	:: skip
	fi
}

/* Nothing can move any more. */
proctype Watch()
{
	timeout ->
	assert(o_reads || n_reads || kill_o || term_o || o_gone);  /* the old one went by itself */
	assert(o_reads || n_reads || !o_gone || kill_n || term_n); /* or the new one, after it */
	/* Both were to go, or the new one had left it to the old one. */
	assert(o_reads || n_reads || kill_n || term_n || n_gave_up || !n_holds)
}

init
{
	atomic { run Old(); run New(); run Outside(); run Outside2(); run Watch() }
}
