import type { Bag } from '@iopa/appbuilder'

/** A part of a form as it goes over the wire. */
export interface WrittenPart {
  readonly head: string
  readonly body?: string
}

const BOUNDARY = 'xyz'

/** The body of a multipart form. */
export const multipartText = (parts: readonly WrittenPart[], end = `--${BOUNDARY}--\r\n`): string =>
  `${parts.map(({ head, body = '' }) => `--${BOUNDARY}\r\n${head}\r\n\r\n${body}\r\n`).join('')}${end}`

/** A request that posts the text as a multipart form. */
export const post = (body: string | AsyncIterable<Uint8Array>, path = '/form'): Bag & { readonly 'iopa.Headers': Record<string, string> } => ({
  'iopa.Method': 'POST',
  'iopa.Path': path,
  'iopa.Headers': { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  'iopa.Body': typeof body === 'string' ? Buffer.from(body, 'latin1') : body
})

export const field = (name: string, body: string): WrittenPart => ({ head: `Content-Disposition: form-data; name="${name}"`, body })

export const file = (name: string, filename: string, body: string, type = 'text/plain'): WrittenPart => ({
  head: `Content-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: ${type}`,
  body
})
