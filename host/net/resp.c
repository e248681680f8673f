#include "net/resp.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdlib.h>
#include <string.h>

/* hiredis hands its builders a task, and only some versions a way to the reader: what they need is
 * kept here for the time of one call, which never nests. */
static struct resp *reading;

/* ---- values ---- */

static struct resp_value *value_new(enum resp_type type)
{
	struct resp_value *v;

	if (reading->values >= reading->values_max) {
		reading->why = "too many values in one reply";
		return NULL;
	}
	v = calloc(1, sizeof *v);
	if (!v)
		return NULL;
	reading->values++;
	v->type = type;
	return v;
}

void resp_value_free(struct resp_value **value)
{
	struct resp_value *v = *value;

	*value = NULL;
	if (!v)
		return;
	if (v->type == RESP_ARRAY) /* at most as deep as hiredis reads */
		for (size_t i = 0; v->items && i < v->len; i++)
			resp_value_free(&v->items[i]);
	free(v->items);
	free(v->text);
	free(v);
}

/* Puts a value where its task says; NULL if there was none. */
static void *place(const redisReadTask *task, struct resp_value *v)
{
	struct resp_value *parent = task->parent ? task->parent->obj : NULL;

	if (!v || !task->parent)
		return v;
	if (!parent || parent->type != RESP_ARRAY || (size_t)task->idx >= parent->len) {
		resp_value_free(&v);
		return NULL;
	}
	parent->items[task->idx] = v;
	return v;
}

static void *make_string(const redisReadTask *task, char *text, size_t size)
{
	struct resp_value *v;

	if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS &&
	    task->type != REDIS_REPLY_ERROR)
		return NULL;
	v = value_new(task->type == REDIS_REPLY_ERROR ? RESP_ERROR : RESP_STRING);
	if (!v)
		return NULL;
	v->text = malloc(size + 1);
	if (!v->text) {
		resp_value_free(&v);
		return NULL;
	}
	memcpy(v->text, text, size);
	v->text[size] = '\0';
	v->len = size;
	return place(task, v);
}

static void *make_array_of(const redisReadTask *task, size_t count)
{
	struct resp_value *v;

	/* The count is only a claim of the server's: room is made for no more than may come. */
	if (task->type != REDIS_REPLY_ARRAY)
		return NULL;
	if (count > reading->values_max - reading->values) {
		reading->why = "too many values in one reply";
		return NULL;
	}
	v = value_new(RESP_ARRAY);
	if (!v)
		return NULL;
	v->items = count ? calloc(count, sizeof(struct resp_value *)) : NULL;
	if (count && !v->items) {
		resp_value_free(&v);
		return NULL;
	}
	v->len = count;
	return place(task, v);
}

#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t count)
{
	return make_array_of(task, count);
}
#else
static void *make_array(const redisReadTask *task, int count)
{
	return count < 0 ? NULL : make_array_of(task, (size_t)count);
}
#endif

static void *make_integer(const redisReadTask *task, long long number)
{
	struct resp_value *v = value_new(RESP_INTEGER);

	if (v)
		v->number = number;
	return place(task, v);
}

static void *make_null(const redisReadTask *task)
{
	return place(task, value_new(RESP_NULL));
}

static void drop(void *value)
{
	struct resp_value *v = value;

	resp_value_free(&v);
}

#if HIREDIS_MAJOR >= 1
/* Types of RESP3, which we never ask for. */
static void *make_double(const redisReadTask *task, double number, char *text, size_t size)
{
	(void)task, (void)number, (void)text, (void)size;
	return NULL;
}

static void *make_bool(const redisReadTask *task, int value)
{
	(void)task, (void)value;
	return NULL;
}
#endif

static redisReplyObjectFunctions builders = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_null,
    .freeObject = drop,
#if HIREDIS_MAJOR >= 1
    .createDouble = make_double,
    .createBool = make_bool,
#endif
};

/* ---- reading ---- */

int resp_init(struct resp *r, size_t bytes_max, size_t values_max)
{
	memset(r, 0, sizeof *r);
	r->bytes_max = bytes_max;
	r->values_max = values_max;
	r->reader = redisReaderCreateWithFunctions(&builders);
	return r->reader ? 0 : -1;
}

void resp_fini(struct resp *r)
{
	if (r->reader)
		redisReaderFree(r->reader);
	r->reader = NULL;
}

int resp_feed(struct resp *r, const char *data, size_t size)
{
	if (r->why)
		return -1;
	r->bytes += size;
	if (r->bytes > r->bytes_max + size) /* what came before was no whole reply yet */
		r->why = "a reply that is too long";
	else if (redisReaderFeed(r->reader, data, size) != REDIS_OK)
		r->why = redisReaderGetError((redisReader *)r->reader);
	return r->why ? -1 : 0;
}

int resp_next(struct resp *r, struct resp_value **value_r)
{
	const redisReader *reader = r->reader;
	void *value = NULL;
	int ok;

	if (r->why)
		return -1;
	reading = r;
	ok = redisReaderGetReply(r->reader, &value);
	reading = NULL;
	if (ok != REDIS_OK) {
		if (!r->why)
			r->why = reader->errstr;
		return -1;
	}
	if (!value)
		return 0;
	r->values = 0;
	r->bytes = reader->len - reader->pos;
	*value_r = value;
	return 1;
}
