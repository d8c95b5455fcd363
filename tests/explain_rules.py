#!/usr/bin/env python3
"""Each cause of src/explain/causes.def that a function looks for, on conversations made for it: one that must be named,
with how sure that is and by which packets, and one that looks alike and must not be.

usage: explain_rules.py --smbproof COMMAND [NAME...]     NAME: of a case; its capture is kept and its path printed

A case is a function that returns a Talk (tests/talk.py), a list of them (what is judged is the first), or two lists,
the client's and the server's captures of one connection. What is expected of it stands in the line before it.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import talk as t
from talk import Talk
from tap import Tap

MSS_1460 = b"\x02\x04\x05\xb4"  # TCP option 2
SEVERITIES = {"problem", "exposure", "note"}
CASES = []


def case(yes=None, no=(), packets=(), args=(), ok=False):
    """yes: {rule: "likely"}, or "note certain" for what is no problem; no: rules that must not be named; packets: marks
    that each rule of `yes` has to name; ok: nothing may be called a problem."""

    def add(function):
        CASES.append((function, yes or {}, list(no), list(packets), list(args), ok))
        return function

    return add


# --- T: below SMB ---


def syns():
    return Talk().segment("client", flags=t.SYN, mark="SYN").again("client", 2)


@case({"T01": "likely"}, no=["T02", "T05", "T07"], packets=["SYN"])
def port_filtered():
    return syns()


@case({"T07": "note possible", "T01": "likely"}, packets=["SYN"], args=["--taken-at=client"])
def port_filtered_by_the_client_itself():
    return syns()


@case({"T02": "likely"}, no=["T01", "M05"], packets=["SYN", "close"])
def port_refused():
    return Talk().segment("client", flags=t.SYN, mark="SYN").rst("server")


@case(no=["T02", "T01"])
def reset_after_the_handshake():
    return Talk().handshake().rst("server")


@case({"T03": "likely"})
def large_segments_lost():
    return Talk().opened().worked().request(size=1300, answered=False).again("client", 4).rst("client")


@case({"T05": "likely"}, no=["T03", "M09"], packets=["close"])
def small_segments_lost():
    return Talk().opened().worked().request(answered=False).again("client", 6).rst("client")


@case(no=["T05", "T03"], ok=True)
def one_retransmission_that_arrives():
    return (
        Talk().opened().validate().request(answered=False)
        .again("client").ack("server").next().request().fin("client")
    )


@case(no=["T05", "T03"])
def many_segments_repaired():
    talk, sent = Talk().opened().worked(), []
    for _ in range(6):
        talk.request(size=1300, answered=False).next()
        sent.append(talk.last["client"])
    for payload, first, flags in sent:
        talk.segment("client", payload, flags, sequence=first)
    return talk


@case({"T04": "likely"}, no=["M05", "T06", "L05"], packets=["late request", "close"])
def idle_connection_forgotten():
    return Talk().opened().worked().wait(120).request(answered=False, mark="late").rst("server")


@case({"T04": "note likely"}, no=["M05"], packets=["close"], ok=True)
def server_closes_an_idle_connection():
    return Talk().opened().worked().wait(900).fin("server")


@case({"L05": "possible"}, no=["T04", "T06"], packets=["close"])
def reset_at_work():
    return Talk().opened().worked().request(answered=False).rst("server")


@case(no=["L05", "M05"])
def reset_at_work_with_packets_lost():
    talk = Talk().opened().worked().request(mark="lost")
    talk.packets.remove(talk.marks.pop("lost response"))
    return talk.request(answered=False).rst("server")


def reset_as_another_logs_on(client):
    other = Talk(client=client, client_port=50001, start=0.2).opened().worked()
    talk = Talk().opened().worked()
    talk.time = other.marks["SESSION_SETUP request"].time
    return [talk.rst("server"), other]


@case({"T06": "possible"}, packets=["close"])
def reset_as_another_of_that_address_logs_on():
    return reset_as_another_logs_on("192.0.2.10")


@case(no=["T06"])
def reset_as_another_client_logs_on():
    return reset_as_another_logs_on("192.0.2.11")


# --- M: on the path ---


@case(
    {"M01": "likely"},
    no=["V05", "V06", "V08", "V12", "M05", "M10"],
    packets=["NEGOTIATE request", "VALIDATE request", "close"],
)
def request_altered_seen_by_the_client():
    return Talk(at="client").opened().validate(answered=False).fin("server")


@case({"M01": "likely"}, no=["V05", "M05", "V12"], packets=["VALIDATE request", "close"])
def windows_server_resets_on_validate():
    return Talk(at="client", system=t.WINDOWS_10).opened().validate(answered=False).rst("server")


@case({"M01": "likely"}, no=["V12", "M10"], packets=["NEGOTIATE request", "VALIDATE request"])
def request_altered_seen_by_the_server():
    return Talk(at="server").opened(arrived={"guid": b"\x99" * 16}).validate(answered=False).fin("server")


@case({"M01": "possible", "V05": "possible"}, packets=["NEGOTIATE request", "VALIDATE request"])
def request_differs_and_nobody_knows_where():
    return Talk().opened(arrived={"mode": 0}).validate(answered=False).fin("server")


def both_ends(build):
    return [build(Talk(at="client"))], [build(Talk(at="server"))]


@case({"M01": "certain"}, no=["V05", "M02", "M10"], packets=["NEGOTIATE request", "close"])
def request_altered_seen_by_both():
    def build(talk):
        arrived = {"guid": b"\x99" * 16} if talk.at == "server" else {}
        return talk.opened(arrived=arrived).validate(answered=False).fin("server")

    return both_ends(build)


@case({"M02": "certain"}, no=["V04", "M01"], packets=["NEGOTIATE response", "close"])
def response_altered_seen_by_both():
    def build(talk):
        chosen = {"mode": 0} if talk.at == "client" else {}
        return talk.opened(chosen=chosen).validate().fin("client")

    return both_ends(build)


@case({"M02": "likely"}, no=["V04", "V11", "M01"], packets=["NEGOTIATE response", "VALIDATE response", "close"])
def response_altered_seen_by_the_client():
    return Talk(at="client").opened(chosen={"capabilities": 0x03}).validate().fin("client")


@case({"M02": "likely"}, no=["V04", "V11"], packets=["NEGOTIATE response", "VALIDATE response"])
def windows_client_logs_off_and_resets():
    talk = Talk(at="client", system=t.WINDOWS_10).opened(chosen={"mode": 0}).validate()
    return talk.logoff(answered=False).rst("client")


@case({"M02": "likely"}, packets=["NEGOTIATE response"])
def dialect_that_nobody_offered():
    return Talk(at="client").handshake().negotiate(offer=(0x0202, 0x0210), dialect=0x0302).fin("client")


@case({"V04": "likely"}, no=["M02"], packets=["NEGOTIATE response", "VALIDATE response"])
def response_differs_at_the_server():
    return Talk(at="server").opened(chosen={"dialect": 0x0300}).validate(answer={"dialect": 0x0302}).fin("client")


@case({"V04": "certain"}, no=["M02"], packets=["NEGOTIATE response", "VALIDATE response"])
def response_differs_at_both():
    return both_ends(lambda talk: talk.opened().validate(answer={"guid": bytes(16)}).fin("client"))


@case(
    {"M03": "possible"},
    no=["M01", "M02", "S04", "S09", "G01", "P02"],
    packets=["NEGOTIATE request", "SESSION_SETUP response", "close"],
)
def client_leaves_311_after_logon():
    return Talk().handshake().negotiate(t.SMB311, 0x0311).logon().fin("client")


@case({"M03": "possible"}, no=["S02", "A01"], packets=["SESSION_SETUP response"])
def first_signed_request_refused_on_311():
    return Talk().handshake().negotiate(t.SMB311, 0x0311).logon().tree(status=t.STATUS_ACCESS_DENIED).fin("client")


@case({"M03": "certain"}, no=["M01", "P01"], packets=["NEGOTIATE request", "close"])
def negotiation_of_311_altered_seen_by_both():
    def build(talk):
        arrived = {"guid": b"\x99" * 16} if talk.at == "server" else {}
        return talk.handshake().negotiate(t.SMB311, 0x0311, arrived=arrived).logon().fin("client")

    return both_ends(build)


@case({"M03": "certain"}, no=["M01", "M10"], packets=["NEGOTIATE request"])
def answer_of_311_lost_at_the_client_seen_by_both():
    def build(talk):
        arrived = {"guid": b"\x99" * 16} if talk.at == "server" else {}
        talk.handshake().negotiate(t.SMB311, 0x0311, arrived=arrived)
        if talk.at == "client":
            talk.packets.remove(talk.marks.pop("NEGOTIATE response"))
        return talk.logon().fin("client")

    return both_ends(build)


@case(no=["M03", "P01"], ok=True)
def client_of_311_logs_off():
    return Talk().opened(offer=t.SMB311, dialect=0x0311).request().logoff().fin("client")


@case({"V01": "certain"}, no=["V02", "V11"], packets=["VALIDATE response"])
def capture_that_begins_with_an_unsigned_answer():
    return Talk().opened().forget().validate(answer_signed=False, status=t.STATUS_NOT_SUPPORTED).fin("client")


@case({"M04": "likely", "V01": "certain"}, no=["V02", "V11"], packets=["VALIDATE response"])
def answer_stripped_of_its_signature():
    return Talk(at="client").opened().validate(answer_signed=False).fin("client")


@case({"M04": "likely"}, packets=["VALIDATE response"])
def answer_with_a_signature_of_zeros():
    return Talk(at="client").opened().validate(signature=bytes(16)).fin("client")


@case({"V01": "certain"}, no=["M04", "M02"], packets=["VALIDATE request", "VALIDATE response"])
def server_that_signs_nothing():
    talk = Talk().opened(dialect=0x0210, logon={"signed": False}, tree={"signed": False})
    return talk.validate(answer_signed=False).fin("client")


@case({"M05": "likely"}, no=["M01", "V12"], packets=["VALIDATE request", "close"])
def reset_from_another_distance():
    return Talk(at="client").opened().validate(answered=False).rst("server", ttl=250)


@case(no=["M05"])
def fin_lost_at_the_client_seen_by_both():
    def build(talk):
        talk.handshake().negotiate().logon(flags=1, signed=False).segment("client", flags=t.FIN | t.ACK, mark="first")
        if talk.at == "client":
            talk.packets.remove(talk.marks.pop("first"))
        return talk.rst("server")

    return both_ends(build)


@case({"M02": "likely"}, no=["V04"])
def answer_contradicted_and_not_seen_at_the_server():
    def build(talk):
        talk.opened().validate(answer={"guid": b"\x99" * 16}).fin("client")
        if talk.at == "server":
            talk.packets.remove(talk.marks.pop("NEGOTIATE response"))
        return talk

    return both_ends(build)


@case({"M05": "possible"}, no=["M01"], packets=["VALIDATE request"])
def validate_swallowed():
    return Talk(at="client").opened().validate(answered=False).ack("server").wait(20).fin("client")


@case({"M05": "possible"}, no=["M01", "T02"], packets=["close"])
def reset_at_logon():
    return Talk().handshake().negotiate().logon(answered=False).rst("server")


@case({"M06": "note likely"}, packets=["SYN"], ok=True)
def optimiser_on_the_path():
    return Talk().handshake(options=b"\x4c\x04\x01\x01").negotiate().logon().tree().worked().logoff().fin("client")


@case(no=["M06"], ok=True)
def ordinary_tcp_options():
    return Talk().handshake(options=MSS_1460).negotiate().logon().tree().worked().logoff().fin("client")


@case({"M07": "possible", "D02": "possible"}, no=["M05"], packets=["NEGOTIATE request", "close"])
def closed_on_negotiate():
    return Talk().handshake().negotiate(answered=False).fin("server")


@case(no=["M07", "D02", "M05"])
def client_gives_up_on_negotiate():
    return Talk().handshake().negotiate(answered=False).fin("client")


@case(no=["M07", "D02", "M05"])
def last_of_many_encrypted_messages():
    talk = Talk().opened(logon={"flags": 4}).encrypted("client").encrypted("server")
    return talk.forget().encrypted("client").fin("server")


def session_lost(server_guid):
    lost = (
        Talk().opened().worked()
        .request(status=t.STATUS_USER_SESSION_DELETED, answer_signed=False, mark="lost").fin("client")
    )
    return [lost, Talk(client_port=50001, start=5, server_guid=server_guid).opened().worked().fin("client")]


@case({"M08": "possible", "L02": "note certain"}, packets=["lost response"])
def balancer_mixes_servers():
    return session_lost(b"\x33" * 16)


@case({"L02": "note certain"}, no=["M08"], packets=["lost response"])
def session_lost_on_one_server():
    return session_lost(b"\x22" * 16)


@case({"M09": "possible"}, no=["T05", "M05"], packets=["TREE_CONNECT request"])
def acknowledged_but_not_answered():
    return Talk().handshake().negotiate().logon().tree(answered=False).ack("server").wait(60).fin("client")


@case(no=["M09", "T05"], ok=True)
def slow_answer():
    talk = Talk().handshake().negotiate().logon().tree(answered=False, mark="slow").ack("server").wait(20)
    return talk.tree().worked().logoff().fin("client")


@case(no=["M09"], ok=True)
def answer_before_its_request_in_the_file():
    talk = Talk().opened().validate()
    request, answer = talk.packets[-2:]
    request.time, answer.time = answer.time, request.time
    return talk.wait(60).fin("client")


@case({"M10": "possible", "M01": "likely"}, packets=["NEGOTIATE request", "VALIDATE request"])
def encryption_taken_out_of_the_request():
    return Talk(at="server").opened(arrived={"capabilities": 0x3F}).validate(answered=False).fin("server")


# --- V: VALIDATE_NEGOTIATE_INFO ---


@case({"V02": "note certain"}, no=["V01", "V11", "V12"], packets=["VALIDATE request", "VALIDATE response"], ok=True)
def old_server_says_so_under_signature():
    return Talk().opened(dialect=0x0210).validate(status=t.STATUS_FILE_CLOSED).request().logoff().fin("client")


@case({"V12": "likely"}, no=["V02", "V03"], packets=["VALIDATE request", "VALIDATE response"])
def new_server_says_not_supported():
    return Talk(at="client").opened().validate(status=t.STATUS_NOT_SUPPORTED).fin("client")


@case({"V12": "likely"}, no=["M01", "V05"], packets=["VALIDATE request", "close"])
def server_closes_on_an_unaltered_request():
    return Talk(at="server").opened().validate(answered=False).fin("server")


@case({"V12": "likely"}, no=["M01", "M05"], packets=["VALIDATE request", "close"])
def server_closes_on_an_unaltered_request_seen_by_both():
    return both_ends(lambda talk: talk.opened().validate(answered=False).fin("server"))


@case({"V03": "certain"}, no=["V02", "V12", "V01"], packets=["VALIDATE request", "VALIDATE response"])
def validate_denied():
    return Talk().opened().validate(status=t.STATUS_ACCESS_DENIED).fin("client")


@case({"V05": "likely"}, no=["M01", "M10", "V06"], packets=["NEGOTIATE request", "VALIDATE request"])
def client_claims_what_it_did_not_send():
    return Talk(at="client").opened().validate(capabilities=0x3F, answered=False).rst("server")


@case({"V05": "certain"}, no=["M01"], packets=["NEGOTIATE request", "VALIDATE request"])
def client_contradicts_itself_seen_by_both():
    return both_ends(lambda talk: talk.opened().validate(mode=3, answered=False).fin("server"))


def malformed(**claims):
    return Talk().opened().validate(answered=False, **claims).fin("server")


@case({"V06": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_counts_more_dialects_than_it_has():
    return malformed(count=9)


@case({"V06": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_counts_fewer_dialects_than_it_has():
    return Talk().opened(offer=(0x0302,)).validate(dialects=(0x0302, 0), count=1, answered=False).fin("server")


@case({"V06": "certain"}, packets=["VALIDATE request", "close"])
def validate_without_dialects():
    return malformed(dialects=())


@case({"V06": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_without_room_for_the_answer():
    return malformed(max_output=23)


@case({"V06": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_on_a_file():
    return malformed(file_id=bytes(16))


@case({"V06": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_that_is_no_fsctl():
    return malformed(flags=0)


@case(no=["V06"], ok=True)
def room_for_more_than_the_answer():
    return Talk().opened().validate(max_output=40).request().logoff().fin("client")


@case({"V07": "certain"}, no=["V11", "M02"], packets=["VALIDATE request", "VALIDATE response"])
def answer_too_short():
    return Talk().opened().validate(answer={"output": bytes(20)}).fin("client")


@case({"V08": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_not_signed():
    return Talk().opened().validate(signed=False, answered=False).fin("server")


@case(no=["V08", "V01", "M04"])
def guest_cannot_sign_validate():
    talk = Talk().opened(logon={"flags": 1, "signed": False}, tree={"signed": False})
    return talk.validate(signed=False).request(signed=False)


@case({"V09": "certain"}, no=["M01"], packets=["VALIDATE request", "close"])
def validate_on_311():
    return Talk().opened(offer=t.SMB311, dialect=0x0311).validate(answered=False).fin("server")


@case({"V09": "note certain"}, packets=["VALIDATE request"], ok=True)
def validate_on_311_answered():
    return Talk().opened(offer=t.SMB311, dialect=0x0311).worked().logoff().fin("client")


@case(
    {"V10": "exposure certain"},
    packets=["NEGOTIATE request", "NEGOTIATE response", "TREE_CONNECT response"],
    ok=True,
)
def never_validated():
    return Talk().opened(dialect=0x0210).request().logoff().fin("client")


@case(no=["V10"], ok=True)
def client_that_knows_nothing_newer():
    return Talk().opened(offer=(0x0202, 0x0210), dialect=0x0210).request().logoff().fin("client")


@case({"V11": "possible"}, no=["V01", "V12", "V04"], packets=["VALIDATE response", "close"])
def client_leaves_after_a_right_answer():
    return Talk(at="client").opened().validate().fin("client")


@case({"V11": "possible"}, no=["V02"], packets=["VALIDATE response", "close"])
def client_leaves_after_a_signed_error():
    return Talk(at="client").opened(dialect=0x0210).validate(status=t.STATUS_INVALID_DEVICE_REQUEST).fin("client")


@case(
    no=["V01", "V03", "V04", "V05", "V07", "V09", "V11", "V12", "V13", "M01", "M02", "M04", "M08", "M10"]
    + ["Q00", "Q01", "Q02", "Q03", "Q04", "Q06", "Q07", "L01", "L02", "L03", "S01", "S02", "S04", "S09"]
    + ["A01", "G01", "G02", "K01", "E01", "X04", "P01", "D05"],
    ok=True,
)
def healthy():
    return Talk(at="client").opened().worked().logoff().fin("client")


@case({"V13": "note likely", "M01": "likely"}, packets=["VALIDATE request", "VALIDATE response"])
def server_answers_what_it_should_not():
    return Talk(at="server").opened(arrived={"guid": b"\x99" * 16}).worked().logoff().fin("client")


# --- D: the dialect ---

MULTI = ("NT LM 0.12", "SMB 2.002", "SMB 2.???")


@case({"D01": "certain"}, no=["D06", "M05"], packets=["NEGOTIATE request", "NEGOTIATE response"])
def no_common_dialect():
    return Talk().handshake().negotiate(status=t.STATUS_NOT_SUPPORTED).fin("client")


@case({"D02": "certain"}, no=["D03", "M07"], packets=["SMB1 NEGOTIATE request", "SMB1 NEGOTIATE response"])
def server_of_smb1():
    return Talk().handshake().smb1_negotiate(MULTI, index=0).fin("client")


@case({"D03": "certain"}, no=["D02", "M05"], packets=["SMB1 NEGOTIATE request", "SMB1 NEGOTIATE response"])
def client_of_smb1_refused():
    return Talk().handshake().smb1_negotiate(index=0xFFFF).fin("client")


@case({"D03": "certain"}, no=["D02", "M05", "M07"], packets=["SMB1 NEGOTIATE request"])
def client_of_smb1_dismissed():
    return Talk().handshake().smb1_negotiate().fin("server")


@case(no=["D02", "D03", "D04", "D05", "X04"], ok=True)
def multi_protocol_negotiation():
    return (
        Talk().handshake().smb1_negotiate(MULTI)
        .smb1_answered(0x02FF).negotiate().logon().tree().worked().logoff().fin("client")
    )


@case({"D04": "possible", "M02": "possible"}, packets=["NEGOTIATE response"])
def client_goes_on_after_the_wildcard():
    return Talk().handshake().smb1_negotiate(MULTI).smb1_answered(0x02FF).logon(answered=False).fin("server")


@case({"D04": "certain"}, no=["D05"], packets=["SMB1 NEGOTIATE request", "NEGOTIATE response"])
def client_negotiates_after_202():
    talk = Talk().handshake().smb1_negotiate(("NT LM 0.12", "SMB 2.002")).smb1_answered(0x0202)
    return talk.negotiate(answered=False, mark="second").fin("server")


@case({"D05": "certain"}, no=["D04"], packets=["second request"])
def second_negotiate():
    return Talk().handshake().negotiate().negotiate(answered=False, mark="second").fin("server")


@case({"D06": "certain"}, no=["D01", "D07"], packets=["NEGOTIATE request", "NEGOTIATE response"])
def negotiate_without_preauth_context():
    contexts = t.contexts_311()[1:]
    return (
        Talk().handshake()
        .negotiate(t.SMB311, 0x0311, contexts=contexts, status=t.STATUS_INVALID_PARAMETER).fin("client")
    )


@case({"D06": "possible"}, no=["D01"], packets=["NEGOTIATE request", "NEGOTIATE response"])
def sound_negotiate_called_malformed():
    return Talk().handshake().negotiate(t.SMB311, 0x0311, status=t.STATUS_INVALID_PARAMETER).fin("client")


@case({"D07": "certain"}, no=["D01", "D06"], packets=["NEGOTIATE request", "NEGOTIATE response"])
def no_common_hash():
    contexts = t.contexts_311(hashes=(2,))
    return (
        Talk().handshake()
        .negotiate(t.SMB311, 0x0311, contexts=contexts, status=t.STATUS_NO_HASH_OVERLAP).fin("client")
    )


# --- A, G, K, E, S: the logon and after ---


@case(
    {"A01": "certain"},
    no=["A06", "K01", "E01", "M03", "S04"],
    packets=["SESSION_SETUP request", "SESSION_SETUP response"],
)
def wrong_password():
    return Talk().handshake().negotiate().logon(status=t.STATUS_LOGON_FAILURE).fin("client")


@case({"A06": "likely", "A01": "certain"}, packets=["SESSION_SETUP request"])
def ntlm_of_the_first_version():
    return Talk().handshake().negotiate().logon(status=t.STATUS_LOGON_FAILURE, response_size=24).fin("client")


@case({"K01": "certain"}, no=["A01", "M03"], packets=["SESSION_SETUP request", "SESSION_SETUP response"])
def channel_not_bound():
    return (
        Talk().handshake().negotiate(t.SMB311, 0x0311)
        .logon(status=t.STATUS_ACCESS_DENIED, binding=True).fin("client")
    )


@case({"G01": "likely"}, no=["S09", "S01", "M03", "S04"], packets=["SESSION_SETUP response", "close"])
def guest_refused_by_the_client():
    return Talk().handshake().negotiate(mode=3).logon(flags=1, signed=False).fin("client")


@case(no=["G01", "G02", "S01", "S09", "M03"], ok=True)
def guest_at_work():
    talk = Talk().opened(offer=t.SMB311, dialect=0x0311, logon={"flags": 1, "signed": False}, tree={"signed": False})
    return talk.request(signed=False).logoff().fin("client")


@case({"G02": "likely"}, no=["S02", "S04"], packets=["SESSION_SETUP response", "TREE_CONNECT response"])
def guest_who_signs():
    return (
        Talk().handshake().negotiate().logon(flags=1, signed=False)
        .tree(status=t.STATUS_ACCESS_DENIED, answer_signed=False).fin("client")
    )


@case({"E01": "certain"}, no=["S04"], packets=["work response"])
def encryption_demanded_and_not_used():
    talk = Talk().opened(logon={"flags": 4}).validate()
    return talk.request(signed=False, status=t.STATUS_ACCESS_DENIED).fin("client")


@case(no=["E01", "S02", "S04", "M03"])
def access_denied_by_the_share():
    return Talk().opened().validate().request(status=t.STATUS_ACCESS_DENIED).fin("client")


@case({"S01": "likely"}, no=["G01"], packets=["NEGOTIATE request", "SESSION_SETUP response", "close"])
def server_does_not_sign():
    return Talk().handshake().negotiate(dialect=0x0210, mode=3).logon(signed=False).fin("client")


@case({"S02": "likely"}, no=["S04", "E01", "M01"], packets=["TREE_CONNECT response"])
def client_does_not_sign():
    return (
        Talk().handshake().negotiate(server_mode=3).logon()
        .tree(signed=False, status=t.STATUS_ACCESS_DENIED).fin("client")
    )


@case({"S04": "possible"}, no=["M03", "A01", "G01"], packets=["SESSION_SETUP response", "close"])
def client_leaves_302_after_logon():
    return Talk().handshake().negotiate().logon().fin("client")


@case({"S09": "certain"}, no=["G01"], packets=["SESSION_SETUP response"])
def logon_answer_not_signed():
    return Talk().handshake().negotiate(t.SMB311, 0x0311).logon(signed=False).fin("client")


@case(no=["S09"])
def who_logged_on_was_lost():
    talk = Talk().handshake().negotiate(t.SMB311, 0x0311).logon(signed=False, user="")
    talk.packets.remove(talk.marks.pop("SESSION_SETUP request"))
    return talk.fin("client")


@case({"S09": "note certain"}, packets=["SESSION_SETUP response"], ok=True)
def logon_answer_not_signed_and_nobody_minds():
    return Talk().opened(logon={"signed": False}).worked().logoff().fin("client")


@case(no=["S09"], ok=True)
def logon_answer_not_signed_on_21():
    return Talk().opened(dialect=0x0210, logon={"signed": False}).worked().logoff().fin("client")


# --- P: pre-authentication integrity ---


def failing_on_311(port, start, fine=False):
    talk = Talk(client_port=port, start=start).handshake().negotiate(t.SMB311, 0x0311).logon()
    return talk.tree().request().logoff().fin("client") if fine else talk.fin("client")


def fine_on_21():
    return Talk(client_port=50009, start=20).opened(dialect=0x0210).worked().logoff().fin("client")


@case({"P01": "possible", "M03": "possible"}, packets=["NEGOTIATE request", "NEGOTIATE response"])
def every_connection_on_311_fails():
    return [failing_on_311(50000, 0), failing_on_311(50001, 5), fine_on_21()]


@case(no=["P01"])
def one_connection_on_311_works():
    return [failing_on_311(50000, 0), failing_on_311(50001, 5, fine=True), fine_on_21()]


@case({"P02": "possible"}, packets=["NEGOTIATE request"])
def padding_behind_the_contexts():
    return Talk().handshake().negotiate(t.SMB311, 0x0311, padding=bytes(8)).logon().fin("client")


def two_sessions():
    return Talk().opened(offer=t.SMB311, dialect=0x0311).request().logon(mark="second")


@case({"P03": "possible"}, packets=["SESSION_SETUP response", "second response"])
def second_session_fails():
    return two_sessions().rst("client")


@case(no=["P03", "M03"], ok=True)
def second_session_works():
    return two_sessions().tree().request().logoff().fin("client")


# --- L, X: afterwards ---


@case({"L01": "note certain"}, no=["L02"], packets=["work response"], ok=True)
def session_expired():
    return (
        Talk().opened().validate()
        .request(status=t.STATUS_NETWORK_SESSION_EXPIRED, answer_signed=False).fin("client")
    )


@case({"L03": "note certain"}, no=["L02"], packets=["TREE_CONNECT response"], ok=True)
def no_such_share():
    return Talk().handshake().negotiate().logon().tree(status=t.STATUS_BAD_NETWORK_NAME).logoff().fin("client")


@case({"X04": "exposure certain"}, packets=["SMB1 NEGOTIATE response"])
def smb1_in_use():
    talk = Talk().handshake().smb1_negotiate(index=0)
    return (
        talk.put("client", b"\xffSMB\x73" + bytes(40))
        .put("server", b"\xffSMB\x73" + bytes(4) + b"\x98" + bytes(30)).fin("client")
    )


# --- Q: what the capture lacks ---


@case({"Q00": "note certain"}, packets=["NEGOTIATE request"])
def negotiate_that_contradicts_itself():
    return Talk().handshake().negotiate(arrived={"count": 40}, status=t.STATUS_INVALID_PARAMETER).fin("client")


@case({"Q01": "note certain"}, no=["V10", "M03", "S04"])
def capture_begins_late():
    return Talk().opened().forget().request().logoff().fin("client")


@case({"Q02": "note certain"}, no=["M01", "V05", "V10"], packets=["NEGOTIATE request"])
def negotiate_cut_by_a_snap_length():
    return Talk(at="client").opened(snap=130).validate(answered=False).fin("server")


@case({"Q03": "note certain"}, no=["M01", "M05", "M09", "T05", "V10"])
def one_direction_only():
    return Talk().opened().worked().logoff().fin("client").only("client")


@case({"Q04": "note certain"}, no=["V10"])
def packets_missing():
    talk = Talk().opened().request().request(answered=False, lost=True).next().ack("server")
    return talk.request().logoff().fin("client")


@case({"Q05": "note certain"}, no=["T03"], packets=["SYN|ACK"], ok=True)
def offload():
    talk = Talk().handshake(options=MSS_1460).negotiate().logon().tree().validate()
    return talk.request(size=9000, answered=False).ack("server").next().request().logoff().fin("client")


@case(no=["Q05"], ok=True)
def segments_as_large_as_allowed():
    talk = Talk().handshake(options=MSS_1460).negotiate().logon().tree().validate()
    return talk.request(size=1392, answered=False).ack("server").next().request().logoff().fin("client")


@case({"Q06": "note certain"}, no=["V10", "Q04"], ok=True)
def encrypted_session():
    talk = Talk().handshake().negotiate().logon(flags=4)
    for _ in range(8):
        talk.encrypted("client").encrypted("server")
    return talk.fin("client")


@case({"Q07": "note certain"}, no=["T05"], ok=True)
def mirror_port():
    return Talk().opened().worked().logoff().fin("client").doubled()


@case({"Q08": "note certain"}, no=["M01"], ok=True)
def clocks_differ():
    whole = lambda talk: [talk.opened().worked().logoff().fin("client")]  # noqa: E731
    return whole(Talk(at="client", start=60)), whole(Talk(at="server", start=0))


@case(no=["Q08", "M05", "M01", "M02", "M03"], ok=True)
def healthy_at_both_ends():
    return both_ends(lambda talk: talk.opened().worked().logoff().fin("client"))


# --- the test ---


def captures_of(made, folder, name):
    """Writes what a case returned. -> (paths, the Talk that is judged)."""
    if isinstance(made, Talk):
        made = [made]
    sides = made if isinstance(made, tuple) else (made,)
    paths = [folder / f"{name}.{number}.pcap" for number in range(len(sides))]
    for path, talks in zip(paths, sides):
        t.write_pcap(path, talks)
    return paths, sides[0][0]


def status_of(rows):
    """What the exit status has to be: 1 a problem, 2 cannot tell, 0 neither."""
    if any(finding["severity"] == "problem" for row in rows for finding in row["findings"]):
        return 1
    return 2 if any(row["verdict"] == "cannot-tell" for row in rows) else 0


def row_of(command, paths, talk, args, validator):
    """-> the object of that Talk, complaints about all that was written."""
    run = subprocess.run([command, "explain", "--json", *args, *paths], capture_output=True, text=True, timeout=60)
    client = f"{talk.address['client']}:{talk.port['client']}"
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    mine = [row for row in rows if row["connection"]["client"] == client]
    if len(mine) != 1:
        raise RuntimeError(f"{len(mine)} connections of {client}; exit status {run.returncode}: {run.stderr[-300:]}")
    complaints = [error.message for row in rows for error in (validator.iter_errors(row) if validator else ())]
    if run.returncode != status_of(rows):
        complaints.append(f"exit status {run.returncode}, should be {status_of(rows)}")
    return mine[0], complaints


def complaints_about(row, yes, no, packets, ok):
    """packets: numbers that each rule of `yes` has to name."""
    found = {finding["rule"]: finding for finding in row["findings"]}
    for rule, expected in yes.items():
        words = expected.split()
        severity, confidence = words if words[0] in SEVERITIES else ("problem", words[0])
        finding = found.get(rule)
        if finding is None:
            yield f"{rule} is not named, but {', '.join(found) or 'nothing'}"
        elif (finding["severity"], finding["confidence"]) != (severity, confidence):
            yield f"{rule} is {finding['severity']} {finding['confidence']}, should be {severity} {confidence}"
        elif not set(packets) <= set(finding["packets"]):
            yield f"{rule} names packets {finding['packets']}, should name {packets}"
    for rule in no:
        if rule in found:
            yield f"{rule} is named: {found[rule]['summary'][:150]}"
    if ok and any(finding["severity"] == "problem" for finding in row["findings"]):
        yield f"an innocent is accused of {', '.join(found)}"


def validator_of(source):
    """docs/explain.schema.json; None without python3-jsonschema."""
    try:
        import jsonschema
    except ImportError:
        return None
    return jsonschema.Draft202012Validator(json.loads((source / "docs" / "explain.schema.json").read_text()))


def check(command, folder, validator, entry):
    function, yes, no, packets, args, ok = entry
    paths, talk = captures_of(function(), folder, function.__name__)
    try:
        row, complaints = row_of(command, paths, talk, args, validator)
    except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        return [str(error)]
    return complaints + list(complaints_about(row, yes, no, [talk.marks[mark].number for mark in packets], ok))


def uncovered(rules, cases):
    """Sentences about rules that no case names, or that no look-alike is free of."""
    named = {rule for _, yes, *_ in cases for rule in yes}
    denied = {rule for _, _, no, *_ in cases for rule in no}
    for rule in rules:
        if rule not in named:
            yield f"{rule}: no case in which it is named"
        if rule not in denied:
            yield f"{rule}: no case that looks alike and in which it must not be named"


def self_checks():
    """Would this test notice? -> sentences about what was not."""
    finding = {"rule": "M01", "severity": "problem", "confidence": "likely", "packets": [4, 12], "summary": ""}
    row = {"findings": [finding]}
    if list(complaints_about(row, {"M01": "likely"}, ["V05"], [4], False)):
        yield "complaints about what is right"
    wrongs = {
        "another rule": ({"V05": "likely"}, [], [], False),
        "another confidence": ({"M01": "certain"}, [], [], False),
        "another severity": ({"M01": "note likely"}, [], [], False),
        "another packet": ({"M01": "likely"}, [], [5], False),
        "an accusation": ({}, ["M01"], [], False),
        "an accused innocent": ({}, [], [], True),
    }
    for what, (yes, no, packets, ok) in wrongs.items():
        if len(list(complaints_about(row, yes, no, packets, ok))) != 1:
            yield f"{what} is not noticed"
    if len(list(uncovered(["M01", "V05"], [(None, {"M01": "likely"}, ["M01"])]))) != 2:
        yield "a rule without a case is not noticed"


def main(covering=True):
    """covering: is each rule to have its cases?"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    cases = [entry for entry in CASES if not options.names or entry[0].__name__ in options.names]
    source = Path(os.environ["SMBPROOF_SOURCE_ROOT"])
    validator = validator_of(source)
    tap = Tap()
    tap.result("this test notices what is wrong", self_checks())
    if covering and not options.names:
        rules = re.findall(r"FIND\(([A-Z]\d\d)\)", (source / "src" / "explain" / "rules.h").read_text())
        tap.result(f"{len(rules)} rules have cases", uncovered(rules, cases) if rules else ["no rules found"])
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        folder = Path(tempfile.mkdtemp()) if options.names else Path(folder)
        found = pool.map(lambda entry: check(options.smbproof, folder, validator, entry), cases)
        for entry, complaints in zip(cases, found):
            tap.result(entry[0].__name__.replace("_", " "), complaints)
        if options.names:
            print(f"# {folder}")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
