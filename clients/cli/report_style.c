/* How the page looks: light and dark, wide and narrow. */
#include <math.h>

#include "clients/cli/chart.h"
#include "clients/cli/report.h"

static const char style[] =
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.55 system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "font-variant-numeric:tabular-nums}\n"
    "header,main,footer{max-width:74rem;margin:0 auto;padding:0 1rem}\n"
    "header{padding-top:2rem}footer{padding-bottom:3rem;color:var(--mute);font-size:.875rem}\n"
    "h1{margin:0;font-size:1.75rem;line-height:1.2;overflow-wrap:anywhere}"
    "h2{margin:0 0 .25rem;font-size:1.2rem}"
    "h3{margin:0 0 .5rem;font-size:.95rem;font-weight:600}\n"
    "p{margin:.25rem 0 "
    "1rem;max-width:46rem}.lead,.note{color:var(--mute)}.note{font-size:.875rem}\n"
    "bdi,.name{unicode-bidi:isolate;overflow-wrap:anywhere}\n"
    "a{color:var(--s0)}nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;margin:1rem 0 0;"
    "font-size:.9rem}\n"
    "section{margin:1.25rem 0;padding:1.1rem 1.15rem;background:var(--card);"
    "border:1px solid var(--rule);border-radius:.6rem}\n"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;"
    "margin:1.25rem 0}.facts div{padding:.7rem .9rem;background:var(--card);"
    "border:1px solid var(--rule);border-radius:.6rem}\n"
    ".facts dt{color:var(--mute);font-size:.8rem}.facts dd{margin:0;font-size:1.3rem;"
    "font-weight:600;line-height:1.3}.facts small{display:block;color:var(--mute);"
    "font-size:.8rem;font-weight:400}\n"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));"
    "gap:1.5rem}.pair>*{min-width:0;max-width:38rem}\n"
    ".narrow{grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}"
    ".wide{grid-template-columns:minmax(0,1fr)}.wide>*{max-width:none}\n"
    ".scroll{overflow-x:auto;margin:0 -.25rem;padding:0 .25rem .25rem}\n"
    ".scroll:focus-visible{outline:2px solid var(--s0)}\n"
    "table{border-collapse:separate;border-spacing:0;font-size:.875rem}\n"
    "th,td{padding:.3rem .6rem;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid var(--rule)}thead th{vertical-align:bottom;color:var(--mute);"
    "font-weight:600}tbody th{font-weight:400;text-align:left}\n"
    "th:first-child{position:sticky;left:0;background:var(--card);text-align:left;"
    "max-width:11rem;overflow:hidden;text-overflow:ellipsis}\n"
    "tr.mean th,tr.mean td{font-weight:600}\n"
    "table.heat td{padding:.3rem .45rem;text-align:center;border:1px solid var(--card);"
    "min-width:2.6rem}table.heat thead "
    "th{text-align:center;white-space:normal;min-width:3.4rem}table.heat th.long{min-width:6.5rem}"
    "table.heat thead th:first-child{text-align:left}\n"
    "table.heat.dense thead th:not(:first-child){min-width:1.9rem;padding:.3rem .1rem}"
    "table.heat.dense td{padding:.3rem .15rem;min-width:1.9rem;font-size:.75rem}"
    "table.heat.square td{min-width:1.65rem;height:1.65rem;padding:0;font-size:.7rem}"
    "table.heat.square thead th:not(:first-child){min-width:1.65rem;padding:.2rem 0;"
    "font-size:.7rem}\n"
    ".row{display:flex;flex-wrap:wrap;gap:1.5rem}.row>*{min-width:0;max-width:100%}\n"
    "details{margin-top:1rem}summary{cursor:pointer;color:var(--s0)}\n"
    ".legend{display:flex;align-items:center;gap:.5rem;margin:.6rem 0 0;color:var(--mute);"
    "font-size:.8rem}.legend i{display:inline-block;width:1.1rem;height:.8rem}.legend "
    "span{display:flex}\n"
    ".path{margin:1.1rem 0 0;border-top:1px solid var(--rule);padding-top:.8rem}"
    ".path:first-of-type{border-top:0;padding-top:0}\n"
    ".path p{flex-wrap:wrap;margin:0 0 .5rem;max-width:none;font-size:.875rem;color:var(--mute)}"
    ".path b{color:var(--ink);font-size:.95rem}\n"
    ".shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(4.5rem,1fr));gap:.6rem}\n"
    "figure{margin:0;min-width:0}figure img{display:block;width:100%;height:auto;aspect-ratio:1;"
    "object-fit:contain;image-rendering:pixelated;background:#8884;border-radius:.3rem;"
    "border:2px solid transparent}\n"
    "figure.wrong img{border:2px dashed var(--s1)}figcaption{font-size:.7rem;line-height:1.3;"
    "color:var(--mute);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    "figure.wrong figcaption{color:var(--s1)}\n"
    ".bars{display:flex;max-width:100%;align-items:flex-end;gap:2px;height:1.6rem;margin-left:auto}"
    ".bars i{flex:0 1 .55rem;width:.55rem;background:var(--s0);min-height:1px}\n"
    "pre{overflow-x:auto;font-size:.8rem;line-height:1.45;background:var(--paper);padding:.8rem;"
    "border-radius:.4rem}\n"
    "@media(max-width:480px){header,main,footer{padding:0 .6rem}header{padding-top:1.2rem}"
    "section{padding:.9rem .75rem}svg.chart{font-size:14px}"
    "th:first-child{max-width:7.5rem}}\n"
    "@media print{body{background:#fff}section{break-inside:avoid}}\n";

/* Eleven shades of one colour for shares, eleven of two for signed values: ground and ink. The ink
 * has at least 4.5 : 1 on each. */
static const char *const light_q[11][2] = {
    {"#f3f7fb", "#12181f"}, {"#e3eef8", "#12181f"}, {"#d0e3f3", "#12181f"}, {"#b8d5ec", "#12181f"},
    {"#9bc4e3", "#12181f"}, {"#79afd7", "#12181f"}, {"#5d9ccb", "#12181f"}, {"#4389bd", "#0b0f14"},
    {"#25689f", "#ffffff"}, {"#154f83", "#ffffff"}, {"#083763", "#ffffff"},
};
static const char *const dark_q[11][2] = {
    {"#1e252d", "#e8eaed"}, {"#1b2c3d", "#e8eaed"}, {"#1a3650", "#e8eaed"}, {"#194264", "#e8eaed"},
    {"#1a4f79", "#ffffff"}, {"#1f5f90", "#ffffff"}, {"#276da2", "#ffffff"}, {"#4a93cb", "#0b0f14"},
    {"#62a3d6", "#0b0f14"}, {"#8bbfe8", "#0b0f14"}, {"#bcdcf8", "#0b0f14"},
};
static const char *const light_d[11][2] = {
    {"#8f3700", "#ffffff"}, {"#b34f12", "#ffffff"}, {"#dc8247", "#12181f"}, {"#eeb088", "#12181f"},
    {"#f8dac6", "#12181f"}, {"#f4f4f4", "#12181f"}, {"#cfe2f2", "#12181f"}, {"#9fc8e6", "#12181f"},
    {"#6aa7d3", "#12181f"}, {"#4389bd", "#0b0f14"}, {"#155a90", "#ffffff"},
};
static const char *const dark_d[11][2] = {
    {"#ff9a5c", "#0b0f14"}, {"#e37a3a", "#0b0f14"}, {"#ad531d", "#ffffff"}, {"#86401a", "#ffffff"},
    {"#4f2c1a", "#e8eaed"}, {"#262c33", "#e8eaed"}, {"#1b3347", "#e8eaed"}, {"#1d4a6e", "#ffffff"},
    {"#276396", "#ffffff"}, {"#4a93cb", "#0b0f14"}, {"#79bdf0", "#0b0f14"},
};

static void put_shades(FILE *to, char letter, const char *const shades[11][2])
{
    for (int i = 0; i < 11; i++)
        fprintf(to, ".%c%d{background:%s;color:%s}", letter, i, shades[i][0], shades[i][1]);
    fputc('\n', to);
}

void report_style(FILE *to)
{
    fputs("<style>\n", to);
    vn_chart_style(to);
    fputs(style, to);
    put_shades(to, 'q', light_q);
    put_shades(to, 'd', light_d);
    fputs("@media (prefers-color-scheme:dark){", to);
    put_shades(to, 'q', dark_q);
    put_shades(to, 'd', dark_d);
    fputs("}\n</style>\n", to);
}

unsigned report_shade(double share)
{
    return share > 0 ? share < 1 ? (unsigned)lround(10 * share) : 10 : 0;
}

unsigned report_shade_signed(double value)
{
    return report_shade((value + 1) / 2);
}
