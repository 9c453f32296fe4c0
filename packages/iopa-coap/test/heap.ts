import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Frees what nobody holds, twice: what the first pass finalizes falls in the second. */
export function collectGarbage(): void {
  gc()
  gc()
}

/** Bytes of objects and of buffers outside the heap. */
export function heapUsed(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
