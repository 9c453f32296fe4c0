export { IopaError, isIopaError } from './errors.ts'
export { reasonPhrase, STATUS } from './statuses.ts'

export type { IopaErrorOptions } from './errors.ts'
