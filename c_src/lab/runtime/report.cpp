/* report.cpp: how findings and events are written. */
#define LAB_RUNTIME
#include "report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>

#include "guard.h"
#include "observe.h"

namespace lab {

static std::mutex writing;
static std::set<std::string> &told = *new std::set<std::string>(); /* outlives the program's exit */
static uint64_t total;
static std::atomic<uint64_t> made;

/* ---- Words --------------------------------------------------------------------------------- */

std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (char c : text) {
        char code[8];
        if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (static_cast<unsigned char>(c) < 32) {
            snprintf(code, sizeof code, "\\u%04x", c);
            out += code;
        } else
            out += c;
    }
    return out + '"';
}

std::string where(Site site) {
    if (!site.file)
        return "an unknown line";
    const char *name = site.file;
    for (const char *c = site.file; *c; c++)
        if (*c == '/')
            name = c + 1;
    return std::string(name) + ":" + std::to_string(site.line);
}

static std::string triple(uint3 v, const char *left, const char *right) {
    return left + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) +
           right;
}

std::string name_of(const Thread &t) {
    return "block " + triple(t.block->index, "(", ")") + " thread " + triple(t.index, "(", ")");
}

std::string name_of(const LaunchInfo &launch) {
    return std::string("kernel ") + launch.kernel + " (launched at " +
           where({launch.file, launch.line}) + ")";
}

Place::Place(const char *role, const Thread &t)
    : role(role), host(false), block(t.block->index), thread(t.index), pc(t.pc), site(t.site) {}

/* ---- JSON ---------------------------------------------------------------------------------- */

static std::string address(const void *p) {
    char text[24];
    snprintf(text, sizeof text, "\"%p\"", p);
    return p ? text : "null";
}

static std::string line_of(Site site) {
    if (!site.file)
        return "";
    return ",\"file\":" + quoted(site.file) + ",\"line\":" + std::to_string(site.line);
}

static std::string json(const Place &p) {
    std::string out = "{\"role\":" + quoted(p.role) + ",\"thread\":";
    if (p.host)
        out += "null";
    else
        out += "[" + triple(p.block, "", ",") + triple(p.thread, "", "]");
    out += ",\"pc\":" + address(p.pc) + line_of(p.site) + ",\"stack\":[";
    for (size_t i = 0; i < p.stack.size(); i++)
        out += (i ? "," : "") + address(p.stack[i]);
    out += "],\"size\":" + std::to_string(p.size);
    out += std::string(",\"atomic\":") + (p.atomic ? "true" : "false");
    return out + ",\"volatile\":" + (p.is_volatile ? "true}" : "false}");
}

static std::string json(const Finding &f) {
    std::string out = "{\"event\":\"finding\",\"kind\":" + quoted(f.kind) + ",\"launch\":";
    out += f.launch ? std::to_string(f.launch->number) : "null";
    if (f.launch)
        out += ",\"kernel\":" + quoted(f.launch->kernel);
    out += ",\"words\":" + quoted(f.words) + ",\"places\":[";
    for (size_t i = 0; i < f.places.size(); i++)
        out += (i ? "," : "") + json(f.places[i]);
    out += "],\"object\":";
    if (f.object.space) {
        out += "{\"name\":" + quoted(f.object.name) + ",\"space\":" + quoted(f.object.space);
        out += ",\"bytes\":" + std::to_string(f.object.bytes);
        out += ",\"offset\":" + std::to_string(f.object.offset) + ",\"allocated_pc\":";
        out += address(f.object.allocated_pc) + line_of(f.object.allocated) + "}";
    } else
        out += "null";
    out += ",\"scope\":" + quoted(f.scope) + ",\"count\":" + std::to_string(f.count);
    out += ",\"order\":" + std::to_string(next_finding());
    return out + ",\"detail\":" + f.detail + "}";
}

/* ---- The file ------------------------------------------------------------------------------ */

static int events() {
    static const int file = [] {
        const char *name = getenv("LAB_EVENTS");
        return name && *name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    }();
    return file;
}

bool events_wanted() { return events() >= 0; }

/* One write() a line, so that lines of a forked child do not tear ours. */
void write_event(const std::string &json) {
    if (events() < 0)
        return;
    std::string line = json + "\n";
    size_t done = 0;
    while (done < line.size()) {
        ssize_t n = write(events(), line.data() + done, line.size() - done);
        if (n <= 0)
            return;
        done += static_cast<size_t>(n);
    }
}

static std::string key(const Finding &f) {
    std::string out = f.kind;
    for (const Place &p : f.places)
        out += std::string("|") + p.role + where(p.site) + address(p.pc);
    return out + "|" + (f.launch ? where({f.launch->file, f.launch->line}) : "") + f.object.name;
}

/* A sentence on stderr, unless whoever runs the program tells it in his own way. */
static void say(const std::string &words) {
    static const bool silent = inspecting || getenv("LAB_SILENT");
    if (!silent)
        fprintf(stderr, "lab: %s\n", words.c_str());
}

uint64_t next_finding() { return ++made; }

void report(const Finding &f) {
    Busy holding;
    std::lock_guard<std::mutex> hold(writing);
    if (!told.insert(key(f)).second)
        return;
    total++;
    write_event(json(f));
    say(std::string(f.kind) + ": " + f.words);
}

void note(const std::string &words) {
    write_event("{\"event\":\"note\",\"words\":" + quoted(words) + "}");
    say(words);
}

uint64_t findings() { return total; }

const char *stopped = "";

}
