import type { Logger } from '@iopa/constants'

const ignore = (): void => undefined

/** Says nothing: `new App({ logger: false })`. */
export const silentLogger: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore }
