/* Sends the packets of a capture (classic pcap, microseconds, this byte order) over and over at a set rate.
 *
 *   blast INTERFACE CAPTURE PACKETS_PER_S SECONDS
 *
 * Prints {"sent": N, "seconds": S}. Packets that the interface refuses are tried again: all that is counted was sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BURST 64
#define MOST 2000000

struct record {
    uint32_t seconds, micros, caught, length;
};

static struct iovec packets[MOST];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads the capture; returns how many packets it has. */
static size_t load(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct record record;
    size_t count = 0;
    if (!file || fseek(file, 24, SEEK_SET))
        fail(path);
    while (count < MOST && fread(&record, sizeof record, 1, file) == 1) {
        uint32_t length = record.caught < 1514 ? record.caught : 1514;
        char *octets = malloc(record.caught);
        if (!octets || fread(octets, 1, record.caught, file) != record.caught)
            break;
        packets[count].iov_base = octets;
        packets[count++].iov_len = length;
    }
    fclose(file);
    return count;
}

static int open_interface(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name)};
    int channel = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
    if (channel < 0 || bind(channel, (struct sockaddr *)&address, sizeof address))
        fail(name);
    setsockopt(channel, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    return channel;
}

static void send_burst(int channel, size_t from, size_t count)
{
    struct mmsghdr messages[BURST] = {0};
    int done = 0;
    for (int i = 0; i < BURST; i++) {
        messages[i].msg_hdr.msg_iov = &packets[(from + i) % count];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (done < BURST) {
        int sent = sendmmsg(channel, messages + done, BURST - done, 0);
        if (sent > 0)
            done += sent;
        else if (errno != ENOBUFS && errno != EAGAIN)
            fail("send");
    }
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "usage: blast INTERFACE CAPTURE PACKETS_PER_S SECONDS\n");
        return 2;
    }
    int channel = open_interface(words[1]);
    size_t loaded = load(words[2]), sent = 0;
    double rate = atof(words[3]), seconds = atof(words[4]), begin = now();
    if (!loaded)
        return 1;
    while (now() - begin < seconds) {
        double early = begin + sent / rate - now();
        if (early > 0)
            usleep(early * 1e6);
        send_burst(channel, sent % loaded, loaded);
        sent += BURST;
    }
    printf("{\"sent\": %zu, \"seconds\": %.3f}\n", sent, now() - begin);
    return 0;
}
