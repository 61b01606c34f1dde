/* Reads one register of a Modbus/TCP server, or tries to write it.
 *   modbus-read ADDRESS PORT REGISTER [VALUE] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <modbus/modbus.h>

int main(int argc, char **argv)
{
	modbus_t *context;
	uint16_t value = 0;
	int done;
	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: modbus-read ADDRESS PORT REGISTER [VALUE]\n");
		return EXIT_FAILURE;
	}
	context = modbus_new_tcp_pi(argv[1], argv[2]);
	if (!context || modbus_set_response_timeout(context, 10, 0) != 0 || modbus_connect(context) != 0) {
		fprintf(stderr, "%s port %s: %s\n", argv[1], argv[2], modbus_strerror(errno));
		return EXIT_FAILURE;
	}
	if (argc == 5)
		done = modbus_write_register(context, atoi(argv[3]), (uint16_t)atoi(argv[4]));
	else
		done = modbus_read_registers(context, atoi(argv[3]), 1, &value);
	if (done == 1)
		printf("%u\n", value);
	else
		fprintf(stderr, "refused: %s\n", modbus_strerror(errno));
	modbus_close(context);
	modbus_free(context);
	return done == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
