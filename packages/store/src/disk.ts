/**
 * A storage on disk, on LevelDB: `npm install classic-level`.
 *
 * @example
 * import { disk } from '@iopa/store/disk'
 * const lights = store(light, { storage: disk('./data') })
 */

export type { DiskOptions } from './storage/disk.ts'
export { disk } from './storage/disk.ts'
