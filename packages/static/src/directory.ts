import { encodePath } from '@iopa/transport'
import { type MediaTypeOptions, mediaTypeOf } from './media-types.ts'
import type { DirectoryEntry } from './source.ts'

/** The links of a directory in the format of RFC 6690, sorted by name; the path ends with a slash and is not encoded. */
export const linkFormat = (path: string, entries: readonly DirectoryEntry[], options: MediaTypeOptions): string =>
  [...entries]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, kind }) => {
      const target = encodePath(path + name)
      // 40 is application/link-format: what is behind a directory is such a list again.
      return kind === 'directory' ? `<${target}/>;ct=40` : `<${target}>;type="${mediaTypeOf(name, options)}"`
    })
    .join(',')

/** The path of a directory as sources know it. */
export const withoutSlash = (path: string): string => (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path)
