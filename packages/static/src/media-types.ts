import { mimes } from 'mrmime'

const FALLBACK = 'application/octet-stream'

// Types that are text although their name does not say so. JSON is absent: RFC 8259 section 11 defines no charset for it.
const TEXTUAL = /^text\/|^application\/(?:javascript|xml)$/

/** How the media type of a name is found. */
export interface MediaTypeOptions {
  /** Extension without dot, in lower case, to media type; asked before the built-in table. */
  readonly mediaTypes?: Readonly<Record<string, string>>
  /** Added to text types that name none, `utf-8` by default; `false` adds nothing. */
  readonly charset?: string | false
}

/** The media type of a file by the extension of its name, `application/octet-stream` when unknown. */
export const mediaTypeOf = (path: string, options: MediaTypeOptions): string => {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  // `.profile` is a name without extension, `name.` cannot be asked for.
  const extension = dot > 0 ? name.slice(dot + 1).toLowerCase() : ''
  const own = options.mediaTypes !== undefined && Object.hasOwn(options.mediaTypes, extension) ? options.mediaTypes[extension] : undefined
  // The tables are plain objects: `x.constructor` must not find a function.
  return withCharset(own ?? (Object.hasOwn(mimes, extension) ? mimes[extension]! : FALLBACK), options)
}

/** A text media type with the charset option added, unless it names one. */
export const withCharset = (mediaType: string, options: MediaTypeOptions): string => {
  const charset = options.charset ?? 'utf-8'
  return charset !== false && TEXTUAL.test(mediaType) && !/;\s*charset=/i.test(mediaType) ? `${mediaType}; charset=${charset}` : mediaType
}
