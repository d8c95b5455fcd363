/* Text within XML, for the reports in JUnit's form. */
#ifndef SMBPROOF_PROBE_XML_H
#define SMBPROOF_PROBE_XML_H

#include <stdio.h>

/* Octets that no XML may hold become question marks. */
void xml_escape(FILE *out, const char *text);

#endif
