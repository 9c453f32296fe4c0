import type { Context } from '@iopa/appbuilder'
import { checkOptions, kindOf, optionError } from '@iopa/appbuilder/extension'
import { available, type Encoding, LEVELS } from './encoders.ts'

/** Options of `compress`. */
export interface CompressOptions {
  /** Codings that are offered, the preferred one first: `['br', 'zstd', 'gzip']` by default, without zstd where Node has none (before 22.15). */
  readonly encodings?: readonly Encoding[]
  /** Bytes of the smallest body that is compressed, 1,024 by default. A body whose size is unknown is compressed. */
  readonly threshold?: number
  /** Level by coding: `br` 0 to 11, 4 by default; `zstd` 1 to 19, 3 by default; `gzip` 1 to 9, 6 by default. */
  readonly level?: Readonly<Partial<Record<Encoding, number>>>
  /** True for an answer that is to be compressed, by its type and what else it says. By default types that are text or known to shrink. */
  readonly filter?: (context: Context) => boolean
  /** Bodies that are compressed at once, 64 by default; beyond it answers are sent as they are. Each takes up to 1 MiB of memory. */
  readonly concurrency?: number
}

/** Options with their defaults. */
export interface CompressSettings {
  readonly encodings: readonly Encoding[]
  readonly threshold: number
  readonly level: Readonly<Record<Encoding, number>>
  readonly filter: (context: Context) => boolean
  readonly concurrency: number
}

const OPTIONS: Record<keyof CompressOptions, true> = { encodings: true, threshold: true, level: true, filter: true, concurrency: true }
const CODINGS: Record<Encoding, true> = { br: true, zstd: true, gzip: true }

/** @throws IopaError 500 `bad-option`. */
export const settingsOf = (options: CompressOptions, caller: unknown): CompressSettings => {
  checkOptions('compress()', options, OPTIONS, caller)
  checkOptions("'level' of compress()", options.level, CODINGS, caller)
  const { encodings = (['br', 'zstd', 'gzip'] as const).filter(available), threshold = 1024, filter = isCompressible, concurrency = 64 } = options
  if (!Array.isArray(encodings) || encodings.length === 0) throw optionError("'encodings' of compress() must be a list of br, zstd and gzip.")
  for (const encoding of encodings) {
    if (!Object.hasOwn(CODINGS, encoding)) throw optionError(`'encodings' of compress() has ${kindOf(encoding)}; it may have br, zstd and gzip.`)
    if (!available(encoding)) throw optionError(`'encodings' of compress() has ${encoding}, which this version of Node has not: take it out.`)
  }
  checkCount('threshold', threshold, 0)
  checkCount('concurrency', concurrency, 1)
  if (typeof filter !== 'function') throw optionError(`'filter' of compress() must be a function, not ${kindOf(filter)}.`)
  const level = { br: 4, zstd: 3, gzip: 6 }
  for (const [encoding, value] of Object.entries(options.level ?? {}) as [Encoding, number | undefined][]) {
    if (value === undefined) continue
    const [least, most] = LEVELS[encoding]
    if (!Number.isInteger(value) || value < least || value > most)
      throw optionError(`'level.${encoding}' of compress() must be a whole number from ${least} to ${most}, not ${kindOf(value)}.`)
    level[encoding] = value
  }
  return { encodings, threshold, level, filter, concurrency }
}

const checkCount = (name: string, value: number, least: number): void => {
  if (!Number.isSafeInteger(value) || value < least)
    throw optionError(`'${name}' of compress() must be a whole number from ${least}, not ${kindOf(value)}.`)
}

const COMPRESSIBLE =
  /^(?:text\/(?!event-stream)[^;]*|[^;]*\+(?:json|xml|text|cbor)|application\/(?:json|javascript|xml|x-ndjson|cbor|wasm|manifest\+json|graphql|x-www-form-urlencoded|rtf|vnd\.ms-fontobject)|font\/(?:ttf|otf)|image\/(?:svg\+xml|bmp|x-icon)|model\/[^;]*)\s*(?:;|$)/i

const isCompressible = (context: Context): boolean => COMPRESSIBLE.test(context.response.type)
