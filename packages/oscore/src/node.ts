/**
 * A store of OSCORE in files of Node.
 *
 * @example
 * import { fileStore } from '@iopa/oscore/node'
 * const protect = oscore({ contexts, store: fileStore('./oscore') })
 */

export { fileStore } from './files/file-store.ts'
export type { NumberStore, OpenNumberStore } from './store/number-store.ts'
