/* Commands on files where none are built in: each is answered with STATUS_NOT_SUPPORTED. */
#include "serve/serve.h"
#include "wire/messages.h"

void dispatch(struct connection *connection, struct server_frame *frame) {
    connection_refuse(connection, frame, STATUS_NOT_SUPPORTED);
}

void dispatch_cancel(struct connection *connection, struct server_frame *frame) {
    (void)connection;
    (void)frame; /* none is kept */
}

void dispatch_end(struct connection *connection, struct server_session *session, struct server_tree *tree,
                  void (*done)(void *argument), void *argument) {
    (void)connection;
    (void)session;
    (void)tree;
    done(argument);
}
