/* The picture of an evaluation: gnuplot draws it, told through a pipe. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "clients/cli/evaluate_print.h"

struct series {
    const char *title;
    bool (*holds)(const struct vn_setting *s);
};

static bool is_uniform(const struct vn_setting *s)
{
    return !s->agent;
}

static bool is_capped(const struct vn_setting *s)
{
    return s->agent && s->thrift == 0;
}

static bool is_thrifty(const struct vn_setting *s)
{
    return s->agent && s->thrift > 0;
}

static const struct series all_series[] = {
    {"uniform levels", is_uniform},
    {"agent, hard limit", is_capped},
    {"agent, thrift", is_thrifty},
};

static uint32_t count(const struct vn_evaluation *e, const struct series *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < e->n_settings; i++)
        n += s->holds(&e->settings[i]) && vn_evaluation_mean(e, i).accuracy > 0;
    return n;
}

static void send_points(FILE *to, const struct vn_evaluation *e, const struct series *s,
                        unsigned block)
{
    fprintf(to, "$s%u << END\n", block);
    for (uint32_t i = 0; i < e->n_settings; i++) {
        struct vn_row_mean m = vn_evaluation_mean(e, i);

        if (s->holds(&e->settings[i]) && m.accuracy > 0)
            fprintf(to, "%.3f %.4f\n", m.bytes / 1024, 100 * m.accuracy);
    }
    fputs("END\n", to);
}

static void send_script(FILE *to, const char *file, const struct vn_network *n,
                        const struct vn_evaluation *e)
{
    const char *between = "plot ";

    fprintf(to,
            "set terminal svg size 800,500 font 'sans,14' background rgb 'white'\n"
            "set output '%s'\n"
            "set xlabel 'resident parameter bytes of the path, mean (KiB)'\n"
            "set ylabel 'accuracy, mean over tasks (%%)'\n"
            "set key bottom right\nset grid\nset xrange [0:*]\n",
            file);
    for (unsigned i = 0; i < 3; i++)
        send_points(to, e, &all_series[i], i);
    for (unsigned i = 0; i < 3; i++) {
        if (!count(e, &all_series[i]))
            continue;
        fprintf(to, "%s$s%u using 1:2 smooth unique with linespoints lw 2 pt %u title '%s%s%s'",
                between, i, 5 + i, all_series[i].title, i ? ", " : "",
                i ? vn_agent_kind_names[n->agent.kind] : "");
        between = ", ";
    }
    fputc('\n', to);
}

int vn_evaluation_plot(const char *file, const struct vn_network *n, const struct vn_evaluation *e,
                       struct vn_why *why)
{
    FILE *to;
    int status;

    if (strpbrk(file, "'\\\n"))
        return vn_because(why, -EINVAL, "%s: quotes and backslashes cannot be in a plot's name",
                          file);
    signal(SIGPIPE, SIG_IGN); /* a gnuplot that is missing or dies is seen at pclose */
    to = popen("gnuplot", "w");
    if (!to)
        return vn_because(why, -errno, "gnuplot: %s", strerror(errno));
    send_script(to, file, n, e);
    status = pclose(to);
    if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status))
        return vn_because(why, -EIO,
                          "%s was not drawn: --plot needs gnuplot (Debian: "
                          "gnuplot-nox) and a folder that can be written",
                          file);
    return 0;
}
