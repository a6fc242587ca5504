/* SPDX-License-Identifier: MIT */
/*
 * Spin model of the leases of hot restarts (docs/restart.md): who knows that others may hold the
 * same sockets, when processes replace each other in any order, fail half-way, end and are killed.
 *
 * A lease is a pipe. `held` and `watched` are the processes that have its ends, one bit each. Each
 * hand-over opens two, and between any two of its words any other process may do anything.
 *
 * What is claimed, by assertion:
 *	deaf      nobody breaks a socket that another process still holds
 *	alone     the last one that holds anything knows it
 *
 * A BAD_* define breaks one rule and must be found.
 */
#define N 4               /* processes; all but the first get the sockets once at most */
#define N_LEASES (2 * (N - 1))
#define HAS(set, i) (((set) >> (i)) & 1)

byte held[N_LEASES], watched[N_LEASES];
byte n_leases;
byte holders = 1; /* of the sockets */
byte asked = 1;   /* who has been given them, or was about to be */

inline watches(i, ret_any)
{
	ret_any = 0;
	k = 0;
	do
	:: k < n_leases -> ret_any = ret_any || (HAS(watched[k], i) && held[k]); k++
	:: else -> break
	od;
	k = 0
}

/* All that a process had is closed. Dead or not, it reads no more when the first one is. */
inline drop(i)
{
	k = 0;
	do
	:: k < n_leases -> held[k] = held[k] & ~(1 << i); watched[k] = watched[k] & ~(1 << i); k++
	:: else -> break
	od;
	k = 0
}

/* Whether anybody else has a socket or a lease to hold. */
inline has_others(i, ret_any)
{
	ret_any = (holders & ~(1 << i)) != 0;
	k = 0;
	do
	:: k < n_leases -> ret_any = ret_any || (held[k] & ~(1 << i)); k++
	:: else -> break
	od;
	k = 0
}

/* A copy of each end that `from` has goes to `to`, but those of their own two leases. */
inline give_leases(from, to, own)
{
	k = 0;
	do
	:: k < n_leases ->
		if
#ifndef BAD_GIVES_BACK
		:: k == own || k == own + 1 -> skip
#endif
		:: else ->
#ifndef BAD_GIVES_NO_WATCH
			watched[k] = watched[k] | (HAS(watched[k], from) << to);
#endif
#ifndef BAD_GIVES_NO_HOLD
			held[k] = held[k] | (HAS(held[k], from) << to);
#endif
			skip
		fi;
		k++
	:: else -> break
	od;
	k = 0
}

proctype Process(byte i)
{
	byte k, own, to;
	bit any;

	(HAS(holders, i));
	do
	/* It hands over. */
	:: atomic { asked != (1 << N) - 1 ->
		select(to : 1 .. N - 1);
		if
		:: !HAS(asked, to) -> asked = asked | (1 << to)
		:: else -> goto again
		fi
	   };
	   d_step { /* HELLO, both */
		own = n_leases;
		held[own] = 1 << i;
		watched[own] = 1 << to;
		held[own + 1] = 1 << to;
		watched[own + 1] = 1 << i;
		n_leases = n_leases + 2
	   };
	   if
	   :: skip
	   :: d_step { drop(to) }; goto again /* the other one failed, or was killed */
	   fi;
#ifdef BAD_SOCKETS_FIRST
	   holders = holders | (1 << to);
	   d_step { give_leases(i, to, own) };
#else
	   d_step { give_leases(i, to, own) }; /* OTHERS */
	   if
	   :: skip
	   :: d_step { drop(to) }; goto again
	   :: d_step { drop(i); holders = holders & ~(1 << i) }; /* killed; the other one fails */
	      d_step { drop(to) }; goto done
	   fi;
	   holders = holders | (1 << to); /* SOCKETS */
#endif
	   if
	   :: goto again /* it failed: both may serve */
	   :: /* it succeeds */
#ifdef BAD_LETS_GO_FIRST
	      d_step { drop(i) };
	      holders = holders & ~(1 << i);
#else
	      holders = holders & ~(1 << i);
	      d_step { drop(i) };
#endif
	      goto done
	   fi
	/* It ends, and breaks its sockets if it knows of nobody. */
	:: atomic {
		watches(i, any);
		if
		:: !any -> assert((holders & ~(1 << i)) == 0) /* deaf */
		:: else -> has_others(i, any); assert(any)    /* alone */
		fi
	   }
	   holders = holders & ~(1 << i);
	   d_step { drop(i) };
	   goto done
	/* It is killed. */
	:: d_step { holders = holders & ~(1 << i); drop(i) }; goto done
again:	   skip
	od;
done:	skip
}

init
{
	atomic { run Process(0); run Process(1); run Process(2); run Process(3) }
}
