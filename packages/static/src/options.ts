import { checkOptions } from '@iopa/appbuilder/extension'
import { type Clock, checkPath, systemClock } from '@iopa/transport'
import type { Encoding } from './encodings.ts'
import type { SymlinkPolicy } from './file-system.ts'
import type { MediaTypeOptions } from './media-types.ts'
import type { DotfilePolicy, NamePolicy } from './names.ts'
import type { EtagPolicy, Representation } from './representation.ts'
import type { ResourceOptions } from './resources.ts'

/** What the cache keeps. */
export interface CacheOptions {
  /** Bytes of content and bookkeeping together, 64 MiB by default; 0 keeps nothing. */
  readonly maxBytes?: number
  /** Paths known at once, 10,000 by default; those that name nothing count. */
  readonly maxFiles?: number
  /** Bytes of a file that is kept whole, 1 MiB by default; larger ones are read for each request. */
  readonly maxFileSize?: number
}

/** Header fields for every answer with a file, or a function that makes them; it runs once per change of the file. */
export type HeaderOption = Readonly<Record<string, string>> | ((path: string, representation: Representation) => Readonly<Record<string, string>>)

/** Options of `serveStatic`. */
export interface StaticOptions extends MediaTypeOptions {
  /** Names tried for a path that ends with a slash, `['index.html']` by default. */
  readonly index?: readonly string[]
  /** Extensions tried, in order, for a path that names nothing: `['html']` lets `/about` find `/about.html`. None by default. */
  readonly extensions?: readonly string[]
  /** Serves `file.br`, `file.zst` and `file.gz` where the request accepts them; a list says which, the preferred one first. Off by default. */
  readonly precompressed?: boolean | readonly Encoding[]
  /** `strong` by default. */
  readonly etag?: EtagPolicy
  /** Seconds for which a cache may use an answer without asking. Without it nothing is said. */
  readonly maxAge?: number
  /** Says that files never change under their names; `maxAge` is a year then, unless given. */
  readonly immutable?: boolean
  /** Further header fields. */
  readonly headers?: HeaderOption
  /** Names with a leading dot: `deny`, `allow`, or the list of those that are served, `['.well-known']` by default. */
  readonly dotfiles?: DotfilePolicy
  /**
   * Names that are served. `portable`, the default, refuses names that mean something else on Windows. `posix` admits names
   * with a colon and names of devices, such as `aux.js`; on Windows it admits no more than `portable`.
   */
  readonly names?: NamePolicy
  /** For a folder: where symbolic links may lead, `inside-root` by default. */
  readonly symlinks?: SymlinkPolicy
  /** Redirects a directory asked for without its final slash; on by default. */
  readonly redirect?: boolean
  /**
   * Lists directories as links (RFC 6690). `auto`, the default: for protocols whose clients read such lists, as CoAP's do. `true`: also for requests
   * that accept application/link-format. `false`: never.
   */
  readonly listing?: boolean | 'auto'
  readonly cache?: CacheOptions
  /** Milliseconds between two looks at an observed file, 500 by default. */
  readonly watchInterval?: number
  /**
   * The file that answers GET and HEAD for every path that nothing in the pipeline answers: `/index.html` of an application
   * whose pages have paths of their own. A path that has routes for other methods keeps its 405.
   */
  readonly fallback?: string
  readonly clock?: Clock
}

/** The options with every choice made. */
export interface StaticSettings extends ResourceOptions {
  readonly redirect: boolean
  readonly listing: boolean | 'auto'
  readonly watchInterval: number
  readonly fallback: string | undefined
  readonly clock: Clock
}

const OPTIONS: Record<keyof StaticOptions, true> = {
  mediaTypes: true,
  charset: true,
  index: true,
  extensions: true,
  precompressed: true,
  etag: true,
  maxAge: true,
  immutable: true,
  headers: true,
  dotfiles: true,
  names: true,
  symlinks: true,
  redirect: true,
  listing: true,
  cache: true,
  watchInterval: true,
  fallback: true,
  clock: true
}
const CACHE_OPTIONS: Record<keyof CacheOptions, true> = { maxBytes: true, maxFiles: true, maxFileSize: true }

/** Refuses options that do not exist. @throws IopaError 500 that names the option. */
export const checkStaticOptions = (options: StaticOptions, caller: unknown): void => {
  checkOptions('serveStatic()', options, OPTIONS, caller)
  checkOptions("'cache' of serveStatic()", options.cache, CACHE_OPTIONS, caller)
}

const MIB = 1024 * 1024
const YEAR = 365 * 24 * 60 * 60
const ENCODINGS = ['br', 'zstd', 'gzip'] as const

/** Fills in the defaults. @throws TypeError for a negative number. */
export const settingsOf = (options: StaticOptions): StaticSettings => {
  const { cache = {}, precompressed = false, clock = systemClock, maxAge, immutable = false } = options
  const control = maxAge === undefined && !immutable ? {} : { 'cache-control': cacheControl(bound('maxAge', maxAge, YEAR), immutable) }
  const { headers = {} } = options
  const further = typeof headers === 'function' ? headers : () => headers
  return {
    index: options.index ?? ['index.html'],
    extensions: options.extensions ?? [],
    encodings: precompressed === true ? ENCODINGS : precompressed === false ? [] : precompressed,
    etag: options.etag ?? 'strong',
    dotfiles: options.dotfiles ?? ['.well-known'],
    names: namePolicy(options.names),
    headers: (path, representation) => ({ ...control, ...further(path, representation) }),
    maxBytes: bound('cache.maxBytes', cache.maxBytes, 64 * MIB),
    maxFiles: bound('cache.maxFiles', cache.maxFiles, 10_000),
    maxFileSize: bound('cache.maxFileSize', cache.maxFileSize, MIB),
    redirect: options.redirect ?? true,
    listing: options.listing ?? 'auto',
    watchInterval: Math.max(1, bound('watchInterval', options.watchInterval, 500)),
    fallback: options.fallback === undefined ? undefined : checkPath(options.fallback),
    clock,
    now: () => clock.elapsed(),
    ...(options.mediaTypes === undefined ? {} : { mediaTypes: options.mediaTypes }),
    ...(options.charset === undefined ? {} : { charset: options.charset })
  }
}

const cacheControl = (maxAge: number, immutable: boolean): string => `public, max-age=${Math.floor(maxAge)}${immutable ? ', immutable' : ''}`

const namePolicy = (names: NamePolicy = 'portable'): NamePolicy => {
  if (names === 'portable' || names === 'posix') return names
  throw new TypeError(`names must be 'portable' or 'posix', not '${String(names)}'.`)
}

const bound = (name: string, value: number | undefined, otherwise: number): number => {
  if (value === undefined) return otherwise
  if (Number.isFinite(value) && value >= 0) return value
  throw new TypeError(`${name} must be a number of 0 or more, not ${value}.`)
}
