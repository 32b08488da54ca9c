/* The load: C connections, each sends the request, waits for a whole reply of known length, and sends again.
 *
 * Lives here: the fast form of load_client.py (same arguments, same words on the pipes). It may know nothing of HTTP or
 * of echoing beyond "so many bytes come back, and with `echo` they are the bytes sent".
 *
 * usage: load_client PORT CONNECTIONS REPLY_BYTES REQUEST [echo]
 * Prints "ready" when all are connected; for each line "N" on standard input exchanges N messages and prints "done".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, EVENTS = 256 };

struct connection {
    int fd;
    long missing; /* bytes of the reply still to come; 0: idle */
};

static const char *request;
static size_t request_bytes;
static long reply_bytes;
static int check_echo;

static void fail(const char *what) {
    fprintf(stderr, "load_client: %s: %s\n", what, errno ? strerror(errno) : "the server closed the connection");
    exit(1);
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Blocking send: a request of one kibibyte always fits the socket buffer of an idle connection. */
static void ask(struct connection *c) {
    c->missing = reply_bytes;
    if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        fail("send");
}

/* One read. Returns 1 when the reply is whole. */
static int answer(struct connection *c) {
    static char buffer[READ_BYTES];
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        errno = got ? errno : 0;
        fail("recv");
    }
    if (got > c->missing || (check_echo && memcmp(buffer, request + (reply_bytes - c->missing), (size_t)got))) {
        fprintf(stderr, "load_client: the reply is not what was asked for\n");
        exit(1);
    }
    c->missing -= got;
    return c->missing == 0;
}

static void exchange(int poller, struct connection *all, int connections, long times) {
    struct epoll_event events[EVENTS];
    long sent = 0, received = 0;
    for (int i = 0; i < connections && sent < times; i++, sent++)
        ask(&all[i]);
    while (received < times) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!answer(c))
                continue;
            received++;
            if (sent < times) {
                ask(c);
                sent++;
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: load_client PORT CONNECTIONS REPLY_BYTES REQUEST [echo]\n");
        return 2;
    }
    int connections = atoi(argv[2]), poller = epoll_create1(0);
    reply_bytes = atol(argv[3]);
    request = argv[4];
    request_bytes = strlen(request);
    check_echo = argc > 5;
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        all[i].fd = connect_to(atoi(argv[1]));
        struct epoll_event interest = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, all[i].fd, &interest);
    }
    printf("ready\n");
    fflush(stdout);
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        exchange(poller, all, connections, atol(line));
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
