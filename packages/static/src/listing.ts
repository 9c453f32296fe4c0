import { createHash } from 'node:crypto'
import { IopaError } from '@iopa/appbuilder'
import { encodePath } from '@iopa/transport'
import { evaluateConditions, type RequestHeaders } from './conditions.ts'
import { type MediaTypeOptions, mediaTypeOf } from './media-types.ts'
import type { DirectoryEntry, FileInfo } from './source.ts'

/** The media type of a listing (RFC 6690). */
export const LINK_FORMAT = 'application/link-format'

/** Members of a directory in one listing. */
export const MAX_LISTED = 1000

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

/** The entity-tag of a listing, and what the preconditions of the request say. @throws IopaError 412. */
export const judgeListing = (
  links: string,
  { lastModified }: FileInfo,
  headers: RequestHeaders
): { readonly status: 200 | 304; readonly etag: string } => {
  const etag = `"${createHash('sha256').update(links).digest('base64url').slice(0, 22)}"`
  const status = evaluateConditions(headers, { etag, lastModified })
  if (status === 412) throw new IopaError(412, 'precondition-failed', 'The directory has changed: read it again, and send the new ETag in If-Match.')
  return { status, etag }
}
