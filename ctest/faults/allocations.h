/*
 * The C library's allocator with the shim's allocations counted, and failing when
 * wanted. They are told from the program's by the address that they return to.
 */
#ifndef FAULTS_ALLOCATIONS_H
#define FAULTS_ALLOCATIONS_H

/* Finds the shim. The nth allocation fails, and those after it if onwards; 0: none. */
void allocations_begin(unsigned long nth, int onwards);

/* They are counted, and fail, only while armed. */
void allocations_arm(int armed);

unsigned long allocations_counted(void);
unsigned long allocations_failed(void);

#endif
