#include "CYaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct yaml_events {
    yaml_parser_t parser;
    yaml_event_t event;
    int has_event;
};

yaml_events *yaml_events_new(const unsigned char *bytes, size_t count) {
    yaml_events *events = calloc(1, sizeof *events);
    if (!events) return NULL;
    if (!yaml_parser_initialize(&events->parser)) {
        free(events);
        return NULL;
    }
    yaml_parser_set_encoding(&events->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&events->parser, bytes, count);
    return events;
}

static void drop_event(yaml_events *events) {
    if (events->has_event) yaml_event_delete(&events->event);
    events->has_event = 0;
}

void yaml_events_free(yaml_events *events) {
    drop_event(events);
    yaml_parser_delete(&events->parser);
    free(events);
}

static void text(yaml_event_view *view, const void *bytes, size_t length) {
    view->text = bytes;
    view->length = length;
}

static void error(yaml_events *events, yaml_event_view *view) {
    yaml_parser_t *parser = &events->parser;
    view->kind = parser->error == YAML_MEMORY_ERROR ? YE_NO_MEMORY : YE_ERROR;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    text(view, problem, strlen(problem));
    yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
    view->line = mark.line;
    view->column = mark.column;
}

void yaml_events_next(yaml_events *events, yaml_event_view *view) {
    memset(view, 0, sizeof *view);
    drop_event(events);
    do {
        drop_event(events);
        if (!yaml_parser_parse(&events->parser, &events->event)) {
            error(events, view);
            return;
        }
        events->has_event = 1;
    } while (events->event.type == YAML_STREAM_START_EVENT);

    yaml_event_t *event = &events->event;
    view->line = event->start_mark.line;
    view->column = event->start_mark.column;
    view->end_line = event->end_mark.line;
    view->end_column = event->end_mark.column;
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT: view->kind = YE_END; break;
    case YAML_DOCUMENT_START_EVENT: view->kind = YE_DOCUMENT; break;
    case YAML_DOCUMENT_END_EVENT: view->kind = YE_DOCUMENT_END; break;
    case YAML_ALIAS_EVENT:
        view->kind = YE_ALIAS;
        text(view, event->data.alias.anchor, strlen((char *)event->data.alias.anchor));
        break;
    case YAML_SCALAR_EVENT:
        view->kind = YE_SCALAR;
        text(view, event->data.scalar.value, event->data.scalar.length);
        view->anchor = (char *)event->data.scalar.anchor;
        view->tag = (char *)event->data.scalar.tag;
        view->is_plain = event->data.scalar.plain_implicit;
        break;
    case YAML_SEQUENCE_START_EVENT:
        view->kind = YE_SEQUENCE;
        view->anchor = (char *)event->data.sequence_start.anchor;
        view->is_flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        break;
    case YAML_SEQUENCE_END_EVENT: view->kind = YE_SEQUENCE_END; break;
    case YAML_MAPPING_START_EVENT:
        view->kind = YE_MAPPING;
        view->anchor = (char *)event->data.mapping_start.anchor;
        view->is_flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        break;
    case YAML_MAPPING_END_EVENT: view->kind = YE_MAPPING_END; break;
    }
}
