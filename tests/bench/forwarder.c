/* One hop that passes bytes on and does nothing else: what the kernel alone costs.
 *
 *     forwarder COMMAND ARG...
 *
 * Our stdin goes to the command's stdin, its stdout to ours; one poll loop, nothing blocks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 65536, LANES = 2 };

struct lane {
    int source, sink;
    size_t start, end; /* what of the buffer is still to be written */
    char buffer[BYTES];
};

/* Read once or write what waits; 0 at the end of the input. */
static int serve(struct lane *lane)
{
    ssize_t count;
    if (lane->start == lane->end) {
        count = read(lane->source, lane->buffer, BYTES);
        if (count == 0)
            return 0;
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        lane->start = 0;
        lane->end = (size_t)count;
    }
    count = write(lane->sink, lane->buffer + lane->start, lane->end - lane->start);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    lane->start += (size_t)count;
    return 1;
}

static pid_t start(char **argv, int *to, int *from)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    *to = in[1];
    *from = out[0];
    return pid;
}

int main(int argc, char **argv)
{
    static struct lane lanes[LANES];
    if (argc < 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    pid_t child = start(argv + 1, &lanes[0].sink, &lanes[1].source);
    lanes[1].sink = 1;
    int ends[] = {0, 1, lanes[0].sink, lanes[1].source};
    for (int i = 0; i < 4; i++)
        fcntl(ends[i], F_SETFL, fcntl(ends[i], F_GETFL) | O_NONBLOCK);
    for (;;) {
        struct pollfd fds[LANES];
        for (int i = 0; i < LANES; i++) {
            int waits = lanes[i].start != lanes[i].end;
            fds[i].fd = waits ? lanes[i].sink : lanes[i].source;
            fds[i].events = waits ? POLLOUT : POLLIN;
        }
        if (poll(fds, LANES, -1) < 0 && errno != EINTR)
            return 1;
        for (int i = 0; i < LANES; i++) {
            if (fds[i].revents && !serve(&lanes[i])) {
                close(lanes[0].sink);
                waitpid(child, NULL, 0);
                return 0;
            }
        }
    }
}
