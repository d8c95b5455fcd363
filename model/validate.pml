/* FSCTL_VALIDATE_NEGOTIATE_INFO ([MS-SMB2] 3.2.5.5, 3.3.5.15.12) with an active attacker.
 *
 * A client and a server agree on a dialect and on signing in NEGOTIATE, which nothing protects; then the client asks
 * again under a key that the attacker does not have. The attacker owns the path: it reads, changes, keeps back, repeats
 * and makes up every message, but cannot make a signature. A message that was signed is the pair of its contents and the
 * fact that the key's owner made it; the attacker may send it on later, in place of another one of the same kind.
 *
 * What is asked: when the client goes on to its first operation, do both ends have the same view of what was offered and
 * answered? -DGUEST: a session without keys, so the attacker signs as well as anybody. -DSTATUS: the client takes an
 * unsigned error for a server that does not know validation. -DANSWER: a server that answers a mismatch with a signed error
 * in place of closing. -DSMB1: an old client that speaks SMB1 as well, and comes back with it where SMB2 is reset. */

/* What is offered is a set of dialects: 3.0 and 2.1, 2.1 alone, or none; and whether signing is required. */
#define BOTH 3
#define OLD  1
mtype = {SUCCESS, ERROR};

typedef offer_message { byte dialects; bit signing };

/* Two wires with the attacker between them: to it and from it. */
chan offer_sent = [1] of {byte, bit};
chan offer_came = [1] of {byte, bit};
chan answer_sent = [1] of {byte, bit};
chan answer_came = [1] of {byte, bit};
chan claim_sent = [1] of {byte, bit, bit};
chan claim_came = [1] of {byte, bit, bit};
chan result_sent = [1] of {mtype, byte, bit, bit};
chan result_came = [1] of {mtype, byte, bit, bit};

/* The two ends' views, and how far they are. */
byte client_offered = BOTH, client_dialect, server_offered, server_dialect;
bit client_requires, server_requires, client_saw_required, server_saw_required;
bool client_operates = false, client_gave_up = false, server_closed = false, smb1_spoken = false;

inline choose_signing(variable) {
    if
    :: variable = 0
    :: variable = 1
    fi
}

/* The greatest dialect of the set: 2 for 3.0, 1 for 2.1, 0 for none. */
#define greatest(set) ((set & 2) -> 2 : ((set & 1) -> 1 : 0))

proctype client() {
    byte dialect;
    bit signing, key;
    mtype status;

    choose_signing(client_requires);
    offer_sent!client_offered, client_requires;
    if
    :: answer_came?dialect, signing
    :: timeout -> /* a reset, as far as the client can tell */
#ifdef SMB1
       smb1_spoken = true;
       client_operates = true;
#else
       client_gave_up = true;
#endif
       goto done
    fi;
    if
    :: dialect == 0 || !(client_offered & dialect) -> client_gave_up = true; goto done
    :: else
    fi;
    client_dialect = dialect;
    client_saw_required = signing;
    claim_sent!client_offered, client_requires, 1;
    if
    :: result_came?status, dialect, signing, key ->
       if
#ifdef STATUS
       :: status == ERROR -> client_operates = true
#else
       :: status == ERROR && key -> client_operates = true /* a genuine server that does not know it */
       :: status == ERROR && !key -> client_gave_up = true
#endif
       :: status == SUCCESS && key && dialect == client_dialect && signing == client_saw_required ->
          client_operates = true
       :: status == SUCCESS && !(key && dialect == client_dialect && signing == client_saw_required) ->
          client_gave_up = true
       fi
    :: timeout -> client_gave_up = true
    fi;
done:
    skip
}

proctype server() {
    byte dialects;
    bit signing, key;

    choose_signing(server_requires);
    if
    :: offer_came?dialects, signing
    :: timeout -> goto done
    fi;
    server_offered = dialects;
    server_saw_required = signing;
    server_dialect = greatest(dialects);
    if
    :: server_dialect == 0 -> server_closed = true; goto done
    :: else
    fi;
    answer_sent!server_dialect, server_requires;
    if
    :: claim_came?dialects, signing, key
    :: timeout -> goto done
    fi;
    if
    :: !key -> server_closed = true
    :: key && dialects == server_offered && signing == server_saw_required ->
       result_sent!SUCCESS, server_dialect, server_requires, 1
    :: key && !(dialects == server_offered && signing == server_saw_required) ->
#ifdef ANSWER
       result_sent!ERROR, 0, 0, 1
#else
       server_closed = true
#endif
    fi;
done:
    skip
}

/* It knows what went by, and signs only where there is no key. */
proctype attacker() {
    byte dialects, dialect, kept_dialect;
    bit signing, key, kept_signing;
    bool has_kept = false;
    mtype status;

    do
    :: offer_sent?dialects, signing ->
       if
       :: offer_came!dialects, signing
       :: offer_came!OLD, signing
       :: offer_came!dialects, 1 - signing
       :: offer_came!OLD, 1 - signing
       :: skip /* kept back: as a reset, to the client */
       fi
    :: answer_sent?dialect, signing ->
       if
       :: answer_came!dialect, signing
       :: answer_came!1, signing
       :: answer_came!2, signing
       :: answer_came!dialect, 1 - signing
       :: answer_came!1, 1 - signing
       :: answer_came!2, 1 - signing
       :: skip
       fi
    :: claim_sent?dialects, signing, key ->
       if
       :: claim_came!dialects, signing, key
       :: claim_came!OLD, signing, 0
       :: claim_came!dialects, 1 - signing, 0
#ifdef GUEST
       :: claim_came!OLD, signing, 1
       :: claim_came!dialects, 1 - signing, 1
       :: claim_came!OLD, 1 - signing, 1
#endif
       :: result_came!ERROR, 0, 0, 0 /* answered by itself */
       :: result_came!SUCCESS, 1, signing, 0
#ifdef GUEST
       :: result_came!SUCCESS, 1, 0, 1
       :: result_came!SUCCESS, 1, 1, 1
       :: result_came!SUCCESS, 2, 0, 1
       :: result_came!SUCCESS, 2, 1, 1
#endif
       :: skip
       fi
    :: result_sent?status, dialect, signing, key ->
       if
       :: result_came!status, dialect, signing, key
       :: result_came!ERROR, 0, 0, 0
       :: result_came!status, 1, signing, 0
       :: result_came!status, 2, signing, 0
       :: result_came!status, dialect, 1 - signing, 0
#ifdef GUEST
       :: result_came!status, 1, signing, 1
       :: result_came!status, 2, signing, 1
       :: result_came!status, dialect, 1 - signing, 1
#endif
       :: skip
       fi
    :: timeout -> break
    od
}

init {
    atomic {
        run client();
        run server();
        run attacker()
    }
}

#define same (client_dialect == server_dialect && server_offered == client_offered && \
              client_saw_required == server_requires && server_saw_required == client_requires)

/* Who operates has the same view as the other end. */
ltl agreed { [] (client_operates -> same) }
/* It is not all refusal: where the attacker only carries messages, the client gets to work. Its negation has to be found
 * false, by a run that ends well. */
ltl never_works { [] !client_operates }
