/* The sub-commands; each parses its own arguments, argv[0] being its name. */
#ifndef SMBPROOF_TOOLS_COMMANDS_H
#define SMBPROOF_TOOLS_COMMANDS_H

int command_explain(int argc, char **argv);
int command_conform(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_get(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_mkdir(int argc, char **argv);
int command_mv(int argc, char **argv);
int command_put(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_rmdir(int argc, char **argv);
int command_shares(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_relay(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_status(int argc, char **argv);
int command_settings(int argc, char **argv);
int command_passwd(int argc, char **argv);

#endif
