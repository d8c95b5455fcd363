#!/usr/bin/env python3
"""What `smbproof explain` says of connections as they come in the field: endings of Windows, captures with holes,
clients that only look in, boxes that touch other messages than NEGOTIATE, both ends at hand.

usage: explain_field.py --smbproof COMMAND [NAME...]     NAME: of a case; its capture is kept and its path printed

Cases are written and checked as those of explain_rules.py, which has one and a look-alike for each rule. Most of these
were verdicts that were wrong once, on captures of real programs.
"""
import sys

import explain_rules
import talk as t
from explain_rules import both_ends, case
from talk import Talk

explain_rules.CASES.clear()  # only those below


def without(talk, *marks):
    """The capture lost these packets."""
    lost = [talk.marks[mark] for mark in marks]
    talk.packets = [packet for packet in talk.packets if packet not in lost]
    return talk


def both_captures(client, server):
    return [client], [server]


# --- endings of Windows ---


@case({"M02": "likely"}, packets=["VALIDATE response", "close"])
def logoff_and_reset_on_an_altered_response():
    talk = Talk(at="client", system=t.WINDOWS_10)
    return talk.opened(chosen={"capabilities": 0x01}).validate().logoff().rst("client")


@case({"M02": "possible", "V11": "possible"}, packets=["VALIDATE response", "close"])
def logoff_and_reset_seen_by_the_server():
    return Talk(at="server", system=t.WINDOWS_10).opened().validate().logoff().rst("client")


@case(no=["M02", "V11"], ok=True)
def tree_disconnected_and_logged_off():
    return Talk(at="server", system=t.WINDOWS_10).opened().validate().disconnect_tree().logoff().rst("client")


@case({"M01": "possible", "V05": "note possible"})
def windows_10_lists_what_it_implements_seen_by_the_server():
    talk = Talk(at="server", system=t.WINDOWS_10).opened(offer=t.SMB3[:3], dialect=0x0300)
    return talk.validate(dialects=t.SMB311).request().fin("client")


@case({"V05": "note likely"}, no=["M01"], ok=True)
def windows_10_lists_what_it_implements_seen_by_the_client():
    talk = Talk(at="client", system=t.WINDOWS_10).opened(offer=t.SMB3[:3], dialect=0x0300)
    return talk.validate(dialects=t.SMB311).request().fin("client")


@case({"M01": "likely"}, no=["V05"])
def samba_does_not_list_what_it_implements():
    talk = Talk(at="server").opened(offer=t.SMB311, dialect=0x0300, arrived={"offer": t.SMB3[:3], "contexts": []})
    return talk.validate(answered=False).fin("server")


@case({"M03": "possible"}, packets=["close"])
def logoff_without_an_answer_on_311():
    talk = Talk(at="client", system=t.WINDOWS_10).handshake().negotiate(offer=t.SMB311, dialect=0x0311)
    return talk.logon().logoff(answered=False).rst("client")


@case(no=["M03", "S04"], ok=True)
def logoff_with_its_answer_on_311():
    talk = Talk(at="client", system=t.WINDOWS_10).handshake().negotiate(offer=t.SMB311, dialect=0x0311)
    return talk.logon().logoff().rst("client")


@case({"M03": "possible"}, packets=["close"])
def first_encrypted_message_not_opened_on_311():
    talk = Talk(at="client").handshake().negotiate(offer=t.SMB311, dialect=0x0311).logon(flags=4)
    return talk.encrypted("client").fin("server")


# --- sessions ---


@case({"M01": "likely"}, packets=["VALIDATE request", "close"])
def anonymous_first_and_then_a_user():
    talk = Talk(at="client").handshake().negotiate().logon(user="", signed=False)
    return talk.tree(signed=False, path="\\\\server\\IPC$").logon().tree().validate(answered=False).fin("server")


@case({"E01": "likely", "A01": "possible"}, no=["M01"])
def logon_refused_for_want_of_encryption():
    return Talk(at="client").handshake().negotiate(dialect=0x0210).logon(status=t.STATUS_ACCESS_DENIED).fin("client")


@case({"A01": "certain"}, no=["E01"])
def logon_refused_and_what_the_client_can_is_not_known():
    talk = Talk(at="client").handshake().negotiate().logon(status=t.STATUS_ACCESS_DENIED).fin("client")
    return without(talk, "NEGOTIATE request")


@case({"E01": "certain"})
def session_asks_for_encryption_and_is_not_encrypted():
    return Talk(at="client").opened(logon={"flags": 4}, tree={"status": t.STATUS_ACCESS_DENIED}).fin("client")


# --- multi-protocol negotiation ---

MULTI = ("NT LM 0.12", "SMB 2.002", "SMB 2.???")


@case({"D01": "certain"}, no=["M02", "D04"])
def no_common_dialect_after_the_wildcard():
    talk = Talk(at="client").handshake().smb1_negotiate(MULTI).smb1_answered(0x02FF)
    return talk.negotiate(status=t.STATUS_NOT_SUPPORTED).fin("client")


@case({"M02": "likely"}, packets=["NEGOTIATE response"])
def impossible_answer_to_smb1():
    return Talk().handshake().smb1_negotiate(MULTI).smb1_answered(0x0210).logon(answered=False).fin("server")


@case({"D04": "certain"}, no=["M02"])
def client_goes_on_after_the_wildcard_seen_by_the_client():
    return Talk(at="client").handshake().smb1_negotiate(MULTI).smb1_answered(0x02FF).logon(answered=False).fin("server")


def smb1_answered_with_202(talk, dialects):
    talk.offer = t.SMB3
    talk.handshake().smb1_negotiate(dialects).smb1_answered(0x0202).logon().tree()
    return talk.validate(answered=False).fin("server")


@case({"M01": "likely"}, packets=["SMB1 NEGOTIATE request", "VALIDATE request", "close"])
def smb1_list_cut_seen_by_the_server():
    return smb1_answered_with_202(Talk(at="server"), MULTI[:2])


@case({"M01": "certain"}, no=["V12"])
def smb1_list_cut_seen_by_both():
    near, far = Talk(at="client"), Talk(at="server")
    return both_captures(smb1_answered_with_202(near, MULTI), smb1_answered_with_202(far, MULTI[:2]))


@case({"D02": "possible"}, packets=["SMB1 NEGOTIATE request", "close"])
def closed_on_a_multi_protocol_negotiate():
    return Talk(at="client").handshake().smb1_negotiate(MULTI).fin("server")


# --- holes ---


@case({"Q04": "note certain"}, no=["M02", "V11", "V04"], ok=True)
def response_lost_and_all_went_well():
    talk = Talk(at="server").opened().validate().request().request().request().fin("client")
    return without(talk, "NEGOTIATE response")


@case(no=["D05", "D04", "M02"], ok=True)
def multi_protocol_request_lost():
    talk = Talk(at="client").handshake().smb1_negotiate(MULTI).smb1_answered(0x02FF).negotiate().logon().tree()
    return without(talk.worked().fin("client"), "SMB1 NEGOTIATE request")


@case(no=["D05", "D04", "M02"], ok=True)
def second_request_lost():
    talk = Talk(at="client").handshake().smb1_negotiate(MULTI).smb1_answered(0x02FF).negotiate().logon().tree()
    return without(talk.worked().fin("client"), "NEGOTIATE request")


@case(no=["S04", "M03", "V10"])
def tree_connect_lost():
    talk = Talk(at="client").opened().fin("client")
    return without(talk, "TREE_CONNECT request", "TREE_CONNECT response")


@case(no=["V12", "M05"])
def answer_to_validate_lost_seen_by_the_server():
    talk = Talk(at="server").opened().validate(status=t.STATUS_ACCESS_DENIED).fin("server")
    return without(talk, "VALIDATE response")


@case(no=["T02"])
def handshake_lost_before_a_reset():
    return without(Talk(at="client").handshake().negotiate(answered=False).rst("server"), "SYN|ACK")


@case({"M05": "possible"})
def octets_lost_before_a_reset_are_no_sign_of_forgery():
    talk = Talk(at="client").opened().validate(answered=False).segment("server", bytes(84), lost=True)
    return talk.wait(0.001 - 2 * t.WAY_S).rst("server")


@case({"M01": "possible"}, no=["V12"])
def handshake_not_whole_leaves_the_place_open():
    talk = Talk().handshake()
    talk.packets.pop()  # the third of the handshake: the next packet of the client waited for its program
    talk.wait(0.2)
    return talk.negotiate().logon().tree().validate(answered=False).fin("server")


@case({"Q04": "note certain"}, no=["V10", "M05"], ok=True)
def capture_ends_on_validate():
    return Talk(at="client").opened().validate(answered=False)


@case(no=["V10"], ok=True)
def capture_ends_on_tree_connect():
    return Talk(at="client").opened()


# --- who only looks in ---


@case({"V11": "note possible"}, no=["M02"], ok=True)
def another_connection_of_that_client_worked():
    other = Talk(client_port=50001, guid=b"\x33" * 16, at="server", start=5).opened().worked().fin("client")
    return [Talk(at="server").opened().validate().fin("client"), other]


@case({"V10": "exposure possible"}, no=["M05"])
def left_without_having_used_the_share():
    return Talk(at="client").opened().fin("client")


@case({"M05": "possible"}, no=["V10"], packets=["close"])
def reset_before_validate():
    return Talk(at="client").opened().rst("server")


@case(no=["V10"], ok=True)
def reset_before_validate_seen_by_the_server():
    return Talk(at="server").opened().rst("client")


@case({"M02": "note possible"}, ok=True)
def dialect_not_offered_and_nobody_minds():
    return Talk(at="client").opened(offer=(0x0210,), dialect=0x0202).request().fin("client")


# --- boxes that touch other messages ---


@case({"M04": "likely"}, no=["S01"], packets=["SESSION_SETUP response", "TREE_CONNECT response", "close"])
def signature_stripped_from_tree_connect():
    return Talk(at="client").opened(tree={"answer_signed": False}).fin("client")


@case({"M04": "likely"}, no=["S09", "G01", "V11"])
def guest_flag_set_on_the_way():
    def build(talk):
        return talk.opened(logon={"flags": 1 if talk.at == "client" else 0}).fin("client")

    return both_ends(build)


@case({"M04": "likely"}, no=["V05", "M01", "V03"])
def validate_request_altered_between():
    def build(talk):
        claims = {"mode": 3} if talk.at == "server" else {}
        return talk.opened().validate(status=t.STATUS_ACCESS_DENIED, **claims).fin("client")

    return both_ends(build)


@case({"M05": "possible", "M01": "possible"}, packets=["VALIDATE request", "close"])
def reset_sooner_than_the_server_can_answer():
    talk = Talk(at="client").opened().validate(answered=False)
    return talk.wait(0.001 - t.WAY_S).rst("server")


@case({"M05": "likely"}, no=["L05"], packets=["close"])
def reset_at_work_that_neither_end_sent():
    def build(talk):
        talk.opened().validate()
        for _ in range(50):  # more messages than a ladder holds
            talk.request()
        talk.request(answered=False)
        return talk.rst("server" if talk.at == "client" else "client")

    return both_ends(build)


# --- both ends, and nothing altered ---


@case({"V01": "certain"}, no=["M04"])
def server_does_not_sign_validate():
    return both_ends(lambda talk: talk.opened(logon={"signed": False}).validate(answer_signed=False).fin("client"))


@case({"V03": "certain"}, no=["M01", "M04"])
def validate_refused_at_both_ends():
    return both_ends(lambda talk: talk.opened().validate(status=t.STATUS_ACCESS_DENIED).fin("client"))


@case({"V07": "certain"}, no=["M04"])
def validate_answer_short_at_both_ends():
    return both_ends(lambda talk: talk.opened().validate(answer={"output": bytes(12)}).fin("client"))


@case({"S04": "likely"}, no=["M02", "M01"])
def keys_differ_and_nothing_was_altered():
    return both_ends(lambda talk: talk.handshake().negotiate().logon().fin("client"))


@case({"P01": "possible"}, no=["M03"])
def hashes_differ_and_nothing_was_altered():
    return both_ends(lambda talk: talk.handshake().negotiate(offer=t.SMB311, dialect=0x0311).logon().fin("client"))


if __name__ == "__main__":
    sys.exit(explain_rules.main(covering=False))
