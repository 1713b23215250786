// libyaml's parser for Swift: its events as one flat struct, so that no union crosses the border.
#pragma once

#include <stddef.h>

typedef struct yaml_events yaml_events;

enum {
    YE_END,  // of the stream
    YE_DOCUMENT,
    YE_DOCUMENT_END,
    YE_ALIAS,
    YE_SCALAR,
    YE_SEQUENCE,
    YE_SEQUENCE_END,
    YE_MAPPING,
    YE_MAPPING_END,
    YE_ERROR,
    YE_NO_MEMORY,
};

/// One event. The texts belong to the reader and live until its next event; a text that is absent is NULL.
typedef struct {
    int kind;
    /// The value of a scalar, the name of an alias, what is wrong in an error.
    const char *text;
    size_t length;
    const char *anchor;
    const char *tag;
    /// A scalar without quotes and without a tag: its type is found from its text.
    int is_plain;
    int is_flow;
    /// Where it begins and ends, counted from 0.
    size_t line, column, end_line, end_column;
} yaml_event_view;

/// Reads UTF-8 bytes, which must outlive the reader. NULL when there is no memory.
yaml_events *yaml_events_new(const unsigned char *bytes, size_t count);
void yaml_events_free(yaml_events *events);
void yaml_events_next(yaml_events *events, yaml_event_view *view);
