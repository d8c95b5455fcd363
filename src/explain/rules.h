/* The rules, one function each, by family; causes.c has the table that runs them. */
#ifndef SMBPROOF_EXPLAIN_RULES_H
#define SMBPROOF_EXPLAIN_RULES_H

#include "explain/inquiry.h"
#include "wire/names.h"

/* FIND(id): every cause that a function looks for, in the order in which equal findings are told. */
#define RULES_LIST(FIND)                                                                                             \
    FIND(M01)                                                                                                        \
    FIND(M02) FIND(M03) FIND(M04) FIND(M05) FIND(M10) FIND(V01) FIND(V03) FIND(V05) FIND(V04) FIND(V06) FIND(V07)    \
        FIND(V08) FIND(V09) FIND(V12) FIND(V11) FIND(V13) FIND(D01) FIND(D02) FIND(D03) FIND(D04) FIND(D05)          \
            FIND(D06) FIND(D07) FIND(A01) FIND(A06) FIND(G01) FIND(G02) FIND(K01) FIND(E01) FIND(S01) FIND(S02)      \
                FIND(S09) FIND(S04) FIND(P01) FIND(P02) FIND(P03) FIND(T01) FIND(T02) FIND(T03) FIND(T07) FIND(T04)  \
                    FIND(T06) FIND(T05) FIND(M09) FIND(M07) FIND(M08) FIND(L01) FIND(L02) FIND(L03) FIND(L05)        \
                        FIND(V10) FIND(X04) FIND(V02) FIND(M06) FIND(Q01) FIND(Q03) FIND(Q02) FIND(Q04) FIND(Q06)    \
                            FIND(Q05) FIND(Q07) FIND(Q08) FIND(Q00)

#define FIND(id) rule_function find_##id;
RULES_LIST(FIND)
#undef FIND

/* VALIDATE names the offered dialects in their order, and others up to 3.1.1 besides: a list cut on the way, or one
 * of the Windows 10 and Server 2016 builds that put all they implement there, <192>. */
bool lists_what_it_implements(const struct inquiry *inquiry);
/* The client closed right after the answer to VALIDATE: it had connected to a share and did nothing there. */
bool gave_up_after_validation(const struct facts *facts);

/* Of the last VALIDATE request: does it give the server a reason of its own to close (V06, V08, V09)? */
bool validate_request_at_fault(const struct facts *facts);

/* It closed after one validation, and others of the same client at this server validated and went to work: so ends
 * one that wanted no more, too. One that rejects the answer is met by all, or tries again on another share. */
bool only_looked_in(const struct inquiry *inquiry);
/* Octets of its end may be missing right in front of the closing segment: what was the last word is not known. */
bool missed_before_close(const struct facts *facts);
/* The client left between the final SESSION_SETUP response and TREE_CONNECT, without LOGOFF. */
bool left_after_session(const struct facts *facts);
/* The first message under the new key was refused with ACCESS_DENIED. */
bool first_signed_refused(const struct facts *facts);
/* What is wrong with the NEGOTIATE request by the server's own decider, or NULL. */
const char *negotiate_request_fault(const struct evidence *evidence);
/* Octets behind the last negotiate context of the request or the response. */
uint32_t negotiate_padding(const struct evidence *evidence);

/* Events closer together than this belong to one act (two ends of one box, an answer and a close). */
#define AT_ONCE_NS 5000000000u
/* A stateful box's shortest usual idle limit. */
#define IDLE_NS 60000000000u

#endif
