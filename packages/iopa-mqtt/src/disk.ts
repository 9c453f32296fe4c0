/**
 * A store on disk, on LevelDB: `npm install classic-level`.
 *
 * @example
 * import { disk } from '@iopa/mqtt/disk'
 * app.use(mqtt({ port: 1883, store: disk('/var/lib/house/mqtt') }))
 */
export type { DiskOptions } from './stores/disk.ts'
export { disk } from './stores/disk.ts'
