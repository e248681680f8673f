/* Fuzzes the reading of DNS answers: no read beyond the packet (it lies at the end of a block of
 * its own), every record within its bounds, an end after at most as many records as the packet
 * says. */
#include "net/dns_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_record record;
	struct dns_answer answer;
	unsigned char *copy = malloc(size ? size : 1);
	unsigned seen = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (dns_answer_open(&answer, copy, size) == 0) {
		unsigned most = answer.left;

		while (dns_answer_next(&answer, &record) > 0) {
			if (record.name_size == 0 || record.name_size > DNS_NAME_MAX ||
			    record.size > DNS_RDATA_MAX || record.name[record.name_size - 1] != 0 ||
			    ++seen > most)
				abort();
		}
	}
	free(copy);
	return 0;
}
