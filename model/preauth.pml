/* The pre-authentication hash of 3.1.1 ([MS-SMB2] 3.2.5.2, 3.2.5.3.3, 3.3.5.4, 3.3.5.5.3) with an active attacker.
 *
 * Each end hashes NEGOTIATE and SESSION_SETUP as it sent or received them, and derives its keys from the session key and
 * that hash. The final SESSION_SETUP response is signed by the server, TREE_CONNECT by the client: each end learns by the
 * other's signature that the hashes are the same. Ideal functions: two hashes are the same only where the messages are,
 * so a key is the pair of who can make it (the two ends, not the attacker) and of the messages that it stands for.
 *
 * The attacker owns the path, as in validate.pml. -DGUEST: the final response says that the session is a guest's, which
 * has no key and is not signed; the client accepts it (allow_guest). -DUNSIGNED: a client that does not insist on the
 * signature of the final response, so that only TREE_CONNECT shows it. -DSMB1 as there. */

mtype = {GOOD, GUEST_SESSION, REFUSED};

/* Messages are numbers: the offer that the client makes, 1, or another, 2; the server's answer to an offer, and others. */
#define OFFER 1
#define OTHER 2

chan offer_sent = [1] of {byte};
chan offer_came = [1] of {byte};
chan answer_sent = [1] of {byte};
chan answer_came = [1] of {byte};
chan setup_sent = [1] of {byte};
chan setup_came = [1] of {byte};
/* What it says, and the hash in the key that signs it: offer, answer, setup; 0, 0, 0 for no signature. */
chan final_sent = [1] of {mtype, byte, byte, byte};
chan final_came = [1] of {mtype, byte, byte, byte};
chan tree_sent = [1] of {byte, byte, byte};
chan tree_came = [1] of {byte, byte, byte};
chan result_sent = [1] of {mtype, byte, byte, byte};
chan result_came = [1] of {mtype, byte, byte, byte};

byte client_offer = OFFER, client_answer, client_setup = OFFER, server_offer, server_answer, server_setup;
bool client_operates = false, client_gave_up = false, server_serves = false, smb1_spoken = false;

proctype client() {
    mtype status;
    byte offer, answer, setup;

    offer_sent!client_offer;
    if
    :: answer_came?client_answer
    :: timeout ->
#ifdef SMB1
       smb1_spoken = true;
       client_operates = true;
#else
       client_gave_up = true;
#endif
       goto done
    fi;
    setup_sent!client_setup;
    if
    :: final_came?status, offer, answer, setup
    :: timeout -> client_gave_up = true; goto done
    fi;
    if
#ifdef GUEST
    :: status == GUEST_SESSION -> client_operates = true; goto done
#else
    :: status == GUEST_SESSION -> client_gave_up = true; goto done
#endif
    :: status == REFUSED -> client_gave_up = true; goto done
#ifdef UNSIGNED
    :: status == GOOD
#else
    :: status == GOOD && offer == client_offer && answer == client_answer && setup == client_setup
    :: status == GOOD && !(offer == client_offer && answer == client_answer && setup == client_setup) ->
       client_gave_up = true; goto done
#endif
    fi;
    tree_sent!client_offer, client_answer, client_setup;
    if
    :: result_came?status, offer, answer, setup
    :: timeout -> client_gave_up = true; goto done
    fi;
    if
    :: status == GOOD && offer == client_offer && answer == client_answer && setup == client_setup ->
       client_operates = true
    :: else -> client_gave_up = true
    fi;
done:
    skip
}

proctype server() {
    byte offer, answer, setup;

    if
    :: offer_came?server_offer
    :: timeout -> goto done
    fi;
    server_answer = server_offer; /* an answer of its own to each offer */
    answer_sent!server_answer;
    if
    :: setup_came?server_setup
    :: timeout -> goto done
    fi;
    final_sent!GOOD, server_offer, server_answer, server_setup;
    if
    :: tree_came?offer, answer, setup
    :: timeout -> goto done
    fi;
    if
    :: offer == server_offer && answer == server_answer && setup == server_setup ->
       server_serves = true;
       result_sent!GOOD, server_offer, server_answer, server_setup
    :: else -> skip /* closed */
    fi;
done:
    skip
}

/* Whoever carries on a signed message may change what it says, but then the signature is none. */
proctype attacker() {
    mtype status;
    byte offer, answer, setup;

    do
    :: offer_sent?offer ->
       if
       :: offer_came!offer
       :: offer_came!OTHER
       :: skip
       fi
    :: answer_sent?answer ->
       if
       :: answer_came!answer
       :: answer_came!OFFER
       :: answer_came!OTHER
       :: skip
       fi
    :: setup_sent?setup ->
       if
       :: setup_came!setup
       :: setup_came!OTHER
       :: skip
       fi
    :: final_sent?status, offer, answer, setup ->
       if
       :: final_came!status, offer, answer, setup
       :: final_came!GOOD, 0, 0, 0
       :: final_came!GUEST_SESSION, 0, 0, 0
       :: final_came!REFUSED, 0, 0, 0
       :: skip
       fi
    :: tree_sent?offer, answer, setup ->
       if
       :: tree_came!offer, answer, setup
       :: tree_came!0, 0, 0
       :: result_came!GOOD, 0, 0, 0
       :: skip
       fi
    :: result_sent?status, offer, answer, setup ->
       if
       :: result_came!status, offer, answer, setup
       :: result_came!GOOD, 0, 0, 0
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

#define same (client_offer == server_offer && client_answer == server_answer && client_setup == server_setup)

ltl agreed { [] (client_operates -> same) }
/* What the server serves is seen alike, whatever the client checks. */
ltl served { [] (server_serves -> same) }
ltl never_works { [] !client_operates }
