"""Where src/explain and Wireshark's dissectors differ about NEGOTIATE and VALIDATE, and why: every kind that is known.

Each kind is a condition on what was captured, never a file's name. tests/tshark_check.py fails at a difference that is
of none of them. Wireshark 4.0 was looked at; a newer one may need fewer.
"""

UNSEEN = "Wireshark does not see it"
SMB_PORTS = {"445", "139"}


def on_other_port(connection, connections):
    return not {connection["client"].rsplit(":", 1)[1], connection["server"].rsplit(":", 1)[1]} & SMB_PORTS


def behind_gap(connection, connections, packet):
    return connection["gap"] and packet >= connection["gap"]


def has_other_leg(connection, connections):
    ends = {connection["client"], connection["server"]}
    return sum({other["client"], other["server"]} == ends for other in connections) > 1


def reason_of(place, sentence, connection, connections):
    """The known reason of a difference, else None. place: (packet, kind); connection: src/explain's, or None."""
    packet, _ = place
    if connection is None or sentence != UNSEEN:
        return None
    if on_other_port(connection, connections):
        return "on a port that is not SMB's Wireshark does not look for it"
    if has_other_leg(connection, connections):
        return "the connection is in the capture twice (two legs); Wireshark takes the second for retransmissions"
    if behind_gap(connection, connections, packet):
        return "octets are missing before it, and Wireshark does not find the next message's beginning"
    return None
