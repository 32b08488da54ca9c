/* The load: C connections, each sends the request, waits for a whole reply of known length, and sends again.
 *
 * Lives here: the fast form of load_client.py (same arguments, same words on the pipes). It may know nothing of HTTP or
 * of echoing beyond "so many bytes come back, and with `echo` they are the bytes sent".
 *
 * usage: load_client WHERE CONNECTIONS REPLY_BYTES REQUEST [echo]
 * WHERE is a TCP port, udp:PORT or unix:PATH. By UDP a message is one datagram, and one that is lost ends the run.
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
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, EVENTS = 256, SILENCE_MS = 20000 };

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

static int connect_to(const char *where) {
    struct sockaddr_in inet = {.sin_family = AF_INET};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr *address = (struct sockaddr *)&inet;
    socklen_t length = sizeof inet;
    int kind = SOCK_STREAM, yes = 1;
    inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (strncmp(where, "unix:", 5) == 0) {
        strncpy(local.sun_path, where + 5, sizeof local.sun_path - 1);
        address = (struct sockaddr *)&local;
        length = sizeof local;
    } else if (strncmp(where, "udp:", 4) == 0) {
        kind = SOCK_DGRAM;
        inet.sin_port = htons((unsigned short)atoi(where + 4));
    } else {
        inet.sin_port = htons((unsigned short)atoi(where));
    }
    int fd = socket(address->sa_family, kind, 0);
    if (fd < 0 || connect(fd, address, length) < 0)
        fail("connect");
    if (address->sa_family == AF_INET && kind == SOCK_STREAM)
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
        int ready = epoll_wait(poller, events, EVENTS, SILENCE_MS);
        if (ready == 0) {
            fprintf(stderr, "load_client: no reply came for %d ms\n", SILENCE_MS);
            exit(1);
        }
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
        fprintf(stderr, "usage: load_client WHERE CONNECTIONS REPLY_BYTES REQUEST [echo]\n");
        return 2;
    }
    int connections = atoi(argv[2]), poller = epoll_create1(0);
    reply_bytes = atol(argv[3]);
    request = argv[4];
    request_bytes = strlen(request);
    check_echo = argc > 5;
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        all[i].fd = connect_to(argv[1]);
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
