/* SPDX-License-Identifier: MIT */
/*
 * Spin model of the cancellation mechanism (docs/cancellation.md, "Proof").
 *
 * One victim thread, two requesters, one producer of datagrams, one unrelated signal U whose
 * handler may lie on top of the victim and may itself block in a window. The victim is an explicit
 * machine, one step per instruction that matters; a deliverable signal may be delivered before any
 * step. Signals stack as the kernel stacks them:
 *
 *	main | main+H | main+U | main+U+H        H = the cancel signal's handler, full mask
 *
 * Memory is sequentially consistent here: the C code uses seq_cst wherever two variables meet.
 *
 * KIND picks how the victim waits; a BAD_* define breaks one rule and must be found:
 *	K_RECV  window, the kernel restarts it      K_POLL  window, never restarted (EINTR)
 *	K_LOOP  foreign event loop plus eventfd     K_PPOLL no window: ppoll with a mask
 *
 * What is claimed, by assertion:
 *	lost      a call that reports ECANCELED took nothing; sent = reported + queued at the end
 *	missed    when nothing can move any more, no live thread sleeps with its flag set
 *	stray     EINTR is only reported when U's handler interrupted; ECANCELED only when a request
 *	          arrived that no clear has acknowledged; after clear the signal is neither pending
 *	          nor blocked
 *	dead      no thread that has left is signalled, and it leaves nothing pending behind
 */
#define K_RECV  0
#define K_POLL  1
#define K_LOOP  2
#define K_PPOLL 3
#ifndef KIND
#define KIND K_RECV
#endif
#ifndef N_DATA
#define N_DATA 1
#endif
#ifndef N_U
#define N_U 1
#endif
#ifndef N_REQ /* requests by the first requester; the second makes one */
#define N_REQ 2
#endif

/* Program counters. [TEST, X) is the window. */
#define IDLE   0  /* the application, between calls */
#define TEST   1  /* B: flag into a register */
#define JUMP   2  /* to CANCEL when it was set */
#define SYS    3  /* the system call instruction */
#define SLEEP  4  /* inside the kernel */
#define SLEEP2 5  /* inside the kernel, having taken a datagram (only without MSG_WAITFORONE) */
#define X      6  /* after the system call instruction */
#define CANCEL 7
#define POST   8  /* EINTR and pending becomes ECANCELED */
#define MORE   9  /* the portable loop's raw, non-blocking rest */
#define L_TEST 10
#define L_WAIT 11
#define L_DRAIN 12
#define L_TAKE 13
#define P_TEST 14
#define P_TRY  15
#define P_OPEN 16 /* only BAD_PPOLL: the mask opened before poll, not by it */
#define P_SLEEP 17
#define RESULT 18
#define C_BLOCK 20
#define C_FLAG 21
#define C_FLIP1 22
#define C_FLIP2 23
#define C_DRAIN 24
#define C_EFD  25
#define C_OPEN 26
#define D_BLOCK 30
#define D_OFF  31
#define D_WAIT 32
#define D_DRAIN 33
#define D_EXIT 34
#define DEAD   35

/* Results. */
#define NONE     0
#define GOT      1
#define ECANCELED 2
#define EINTR    3
#define E512     4

/* Shared. */
bit flag, efd, pend, epoch, attached = 1, alive = 1;
byte inflight[2];
byte queue, sent, reported;
byte n_set, n_acked; /* requests that set the flag; those that a clear acknowledged */
byte n_done;         /* requesters that have finished */
bit sockerr;         /* the socket's pending error */

/* The victim's two ordinary frames, main and U, and H on top of one of them. */
bit level, inH, maskU, u_masks_cancel;
byte pc[2], ret[2], taken[2], maskC[2], z[2];
byte u_left = N_U;
bit hz;
bit u_interrupted[2];

#if KIND == K_PPOLL
#define ALWAYS_BLOCKED 1
#define ENTRY P_TEST
#else
#define ALWAYS_BLOCKED 0
#define ENTRY TEST
#endif
#if KIND == K_LOOP
#define MAIN_ENTRY L_TEST
#else
#define MAIN_ENTRY ENTRY
#endif
/* The next instruction of the frame on top; of the application in frame l. */
#define AT(p)     (!inH && pc[level] == (p))
#define APP(l, p) (!inH && level == (l) && pc[l] == (p))

#define RESTARTS(l) (KIND != K_POLL || (l) == 1)

/* ppoll opens the mask inside the kernel only; plain poll does not. */
#ifdef BAD_PPOLL
#define BLOCKED(l) (maskC[l])
#else
#define BLOCKED(l) (maskC[l] && pc[l] != P_SLEEP)
#endif

#if KIND == K_PPOLL
#define IN_WINDOW(p) (false)
#elif defined(BAD_PC_HIGH)
#define IN_WINDOW(p) ((p) >= TEST && (p) <= X && (p) != SLEEP)
#elif defined(BAD_PC_LOW)
#define IN_WINDOW(p) ((p) >= TEST && (p) < SYS)
#elif defined(BAD_TEST_EARLY)
#define IN_WINDOW(p) ((p) == SYS)
#elif defined(BAD_FLAG_EINTR)
#define IN_WINDOW(p) (false)
#else
#define IN_WINDOW(p) ((p) >= TEST && (p) < X && (p) != SLEEP)
#endif

#ifdef BAD_NO_POST_CHECK
#define POST_CHECK false
#else
#define POST_CHECK (flag == 1)
#endif

/* What the kernel does to a call that a handler interrupts: back to SYS, or out with EINTR. */
inline interrupt(l, by_u)
{
	if
	:: pc[l] == SLEEP && RESTARTS(l) -> pc[l] = SYS
	:: pc[l] == SLEEP && !RESTARTS(l) ->
		ret[l] = EINTR; pc[l] = X;
		u_interrupted[l] = u_interrupted[l] | by_u
	:: pc[l] == SLEEP2 -> ret[l] = GOT; sockerr = 1; pc[l] = X
	:: pc[l] == P_SLEEP -> pc[l] = P_TEST
	:: else
	fi
}

/* One datagram, or with MSG_WAITFORONE as many as there are. */
inline take(l)
{
	taken[l] = taken[l] + queue; queue = 0; ret[l] = GOT
}

proctype Victim()
{
	do
	/* --- signals -------------------------------------------------------------------- */
	:: atomic { !inH && pend && !BLOCKED(level) && alive ->
		pend = 0; interrupt(level, 0); inH = 1; hz = 0 }
	:: atomic { !inH && level == 0 && !maskU && u_left > 0 && alive ->
		u_left--;
		maskC[1] = (BLOCKED(0) || u_masks_cancel);
		interrupt(0, 1);
		level = 1; pc[1] = IDLE; ret[1] = NONE; taken[1] = 0 }
	/* H, first half: read the flag. */
	:: atomic { inH && !hz && !flag -> inH = 0 } /* not for us (any more): touch nothing */
	:: atomic { inH && !hz && flag -> hz = 1 }
	/* H, second half: leave the window, block ourselves in the interrupted frame, re-raise. */
	:: atomic { inH && hz ->
		inH = 0; hz = 0;
#ifdef BAD_RERAISE_OUTSIDE
		if
		:: IN_WINDOW(pc[level]) -> pc[level] = CANCEL
		:: else -> maskC[level] = 1; pend = 1
		fi
#else
		if
		:: IN_WINDOW(pc[level]) -> pc[level] = CANCEL
		:: else
		fi;
#ifndef BAD_NO_RERAISE
		maskC[level] = 1; pend = 1
#endif
#endif
	   }

	/* --- the window, in either frame -------------------------------------------------- */
	:: atomic { AT(TEST) -> z[level] = flag; pc[level] = JUMP }
	:: atomic { AT(JUMP) && z[level] -> pc[level] = CANCEL }
	:: atomic { AT(JUMP) && !z[level] -> pc[level] = SYS }
	:: atomic { AT(SYS) ->
		if
		:: sockerr -> sockerr = 0; ret[level] = E512; pc[level] = X
#ifdef BAD_NO_WAITFORONE
		:: !sockerr && queue == 1 -> taken[level]++; queue = 0; pc[level] = SLEEP2
		:: !sockerr && queue > 1 -> take(level); pc[level] = X
#elif defined(PORTABLE) || defined(BAD_LOOP_CANCELLABLE)
		:: !sockerr && queue > 0 -> taken[level]++; queue--; ret[level] = GOT; pc[level] = X
#else
		:: !sockerr && queue > 0 -> take(level); pc[level] = X
#endif
		:: !sockerr && queue == 0 -> pc[level] = SLEEP
		fi }
	:: atomic { AT(SLEEP) && queue > 0 -> pc[level] = SYS }
	:: atomic { AT(SLEEP2) && queue > 0 -> take(level); pc[level] = X }
	:: atomic { AT(X) -> pc[level] = POST }
	:: atomic { AT(CANCEL) -> ret[level] = ECANCELED; pc[level] = RESULT }
	:: atomic { AT(POST) ->
		if
		:: ret[level] == EINTR && POST_CHECK -> ret[level] = ECANCELED; pc[level] = RESULT
#ifdef PORTABLE
		:: ret[level] == GOT -> pc[level] = MORE
#elif defined(BAD_LOOP_CANCELLABLE)
		:: ret[level] == GOT && taken[level] < 2 -> pc[level] = TEST
		:: ret[level] == GOT && taken[level] >= 2 -> pc[level] = RESULT
#else
		:: ret[level] == GOT -> pc[level] = RESULT
#endif
		:: ret[level] == EINTR && !POST_CHECK -> pc[level] = RESULT
		:: ret[level] == E512 -> pc[level] = RESULT
		fi }
	:: atomic { AT(MORE) && queue > 0 -> taken[level]++; queue-- }
	:: atomic { AT(MORE) && queue == 0 -> pc[level] = RESULT }

	/* --- a foreign loop: wait on the socket and the eventfd, EINTR is swallowed -------- */
	:: atomic { AT(L_TEST) && flag -> ret[level] = ECANCELED; pc[level] = RESULT }
	:: atomic { AT(L_TEST) && !flag -> pc[level] = L_WAIT }
	:: atomic { AT(L_WAIT) && (efd || queue > 0) -> pc[level] = L_DRAIN }
	:: atomic { AT(L_DRAIN) -> efd = 0; pc[level] = L_TAKE }
	:: atomic { AT(L_TAKE) && queue > 0 -> take(level); pc[level] = RESULT }
	:: atomic { AT(L_TAKE) && queue == 0 -> pc[level] = L_TEST }

	/* --- no window: try, then sleep with the mask open inside ppoll ------------------- */
	:: atomic { AT(P_TEST) && flag -> ret[level] = ECANCELED; pc[level] = RESULT }
	:: atomic { AT(P_TEST) && !flag -> pc[level] = P_TRY }
	:: atomic { AT(P_TRY) && queue > 0 -> take(level); pc[level] = RESULT }
#ifdef BAD_PPOLL
	:: atomic { AT(P_TRY) && queue == 0 -> maskC[level] = 0; pc[level] = P_OPEN }
	:: atomic { AT(P_OPEN) -> pc[level] = P_SLEEP }
	:: atomic { AT(P_SLEEP) && queue > 0 -> maskC[level] = 1; pc[level] = P_TEST }
#else
	:: atomic { AT(P_TRY) && queue == 0 -> pc[level] = P_SLEEP }
	:: atomic { AT(P_SLEEP) && queue > 0 -> pc[level] = P_TEST }
#endif

	/* --- the call returns -------------------------------------------------------------- */
	:: atomic { AT(RESULT) ->
		assert(ret[level] != E512);                           /* poisoned socket */
		assert(ret[level] != ECANCELED || taken[level] == 0); /* lost datagram */
		assert(ret[level] != ECANCELED || n_set > n_acked);   /* stray cancel */
		assert(ret[level] != EINTR || u_interrupted[level]);  /* stray EINTR */
		reported = reported + taken[level]; taken[level] = 0;
		u_interrupted[level] = 0;
		pc[level] = IDLE;
		if
		:: level == 1 -> level = 0 /* U's handler returns */
		:: else
		fi }

	/* --- the application ---------------------------------------------------------------- */
	:: atomic { APP(0, IDLE) -> ret[0] = NONE; pc[0] = MAIN_ENTRY }
	:: atomic { APP(0, IDLE) && ret[0] == ECANCELED -> pc[0] = C_BLOCK }
	:: atomic { APP(0, IDLE) && ret[0] == ECANCELED -> pc[0] = D_BLOCK }
	:: atomic { APP(0, IDLE) && ret[0] == GOT -> pc[0] = D_BLOCK }
	/* U: nothing, or a cancellable call of its own (never when it masks the signal) */
	:: atomic { APP(1, IDLE) -> level = 0 }
	:: atomic { APP(1, IDLE) && !u_masks_cancel -> pc[1] = ENTRY }

	/* --- clear ---------------------------------------------------------------------------- */
	:: atomic { AT(C_BLOCK) ->
		maskC[0] = 1;
#ifndef BAD_CLEAR_NO_BLOCK
		maskU = 1;
#endif
#ifdef BAD_CLEAR_DRAIN_FIRST
		pend = 0;
#endif
		pc[0] = C_FLAG }
	:: atomic { AT(C_FLAG) -> flag = 0; n_acked = n_set; pc[0] = C_FLIP1;
#ifdef BAD_CLEAR_NO_WAIT
		pc[0] = C_DRAIN
#endif
	   }
	/* Requests that began before the flag fell may still owe a nudge: wait for both epochs, so
	 * that a requester which read the epoch long ago is waited for too. */
	:: atomic { AT(C_FLIP1) && z[0] < 2 -> epoch = 1 - epoch; z[0] = 2 }
	:: atomic { AT(C_FLIP1) && z[0] == 2 && inflight[1 - epoch] == 0 ->
		z[0] = 0; pc[0] = C_FLIP2;
#ifdef BAD_CLEAR_ONE_EPOCH
		pc[0] = C_DRAIN
#endif
	   }
	:: atomic { AT(C_FLIP2) && z[0] < 2 -> epoch = 1 - epoch; z[0] = 2 }
	:: atomic { AT(C_FLIP2) && z[0] == 2 && inflight[1 - epoch] == 0 ->
		z[0] = 0; pc[0] = C_DRAIN }
	:: atomic { AT(C_DRAIN) ->
#ifndef BAD_CLEAR_DRAIN_FIRST
		pend = 0;
#endif
		pc[0] = C_EFD }
	:: atomic { AT(C_EFD) -> efd = 0; pc[0] = C_OPEN }
	:: atomic { AT(C_OPEN) ->
		maskC[0] = ALWAYS_BLOCKED; maskU = 0; pc[0] = IDLE; ret[0] = NONE;
		/* Whatever is pending now belongs to a request made since. */
		assert(!pend || n_set > n_acked) }

	/* --- detach, then the thread ends ------------------------------  */
	:: atomic { AT(D_BLOCK) -> maskC[0] = 1; maskU = 1; pc[0] = D_OFF }
	:: atomic { AT(D_OFF) -> attached = 0; pc[0] = D_WAIT;
#ifdef BAD_DETACH_NO_WAIT
		pc[0] = D_DRAIN
#endif
	   }
	:: atomic { AT(D_WAIT) && inflight[0] + inflight[1] == 0 -> pc[0] = D_DRAIN }
	:: atomic { AT(D_DRAIN) -> flag = 0; pend = 0; pc[0] = D_EXIT }
	:: atomic { AT(D_EXIT) -> assert(!pend); alive = 0; pc[0] = DEAD }
	:: pc[0] == DEAD -> break
	od
}

proctype Requester(byte n)
{
	bit e;

	do
	:: n == 0 -> break
	:: n > 0 ->
		n--;
		e = epoch;
		inflight[e]++;
		if
		:: !attached
		:: else ->
#ifdef BAD_SIGNAL_BEFORE_FLAG
			atomic { assert(alive); pend = 1 };
#endif
#ifdef BAD_EVENTFD_BEFORE_FLAG
			efd = 1;
#endif
			atomic { flag = 1; n_set++ };
#ifndef BAD_EVENTFD_BEFORE_FLAG
			efd = 1;
#endif
#ifndef BAD_SIGNAL_BEFORE_FLAG
			atomic { assert(alive); pend = 1 }
#endif
		fi;
		inflight[e]--
	od;
	n_done++
}

proctype Producer(byte n)
{
	do
	:: n == 0 -> break
	:: n > 0 -> atomic { n--; sent++; queue++ }
	od
}

/* Nothing can move any more. Is everything where it belongs? */
proctype Watch()
{
	timeout ->
	assert(n_done == 2);
	assert(!alive || !flag); /* missed: asleep with the flag set */
	assert(!alive || pc[level] == SLEEP || pc[level] == SLEEP2 || pc[level] == L_WAIT ||
	       pc[level] == P_SLEEP);
	assert(sent == reported + taken[0] + taken[1] + queue);
	assert(!alive || !pend || level == 1);
	assert(!alive || level == 1 || maskC[0] == ALWAYS_BLOCKED || pc[0] == P_SLEEP);
	assert(inflight[0] + inflight[1] == 0)
}

init
{
	atomic {
		maskC[0] = ALWAYS_BLOCKED;
		if
		:: u_masks_cancel = 0
		:: u_masks_cancel = 1
		fi;
		run Victim(); run Requester(N_REQ); run Requester(1);
		run Producer(N_DATA); run Watch()
	}
}
