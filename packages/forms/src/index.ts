/**
 * Forms: urlencoded and multipart as streams, files to disk or to a handler.
 *
 * @example
 * app.post('/photos', forms({ files: { directory: 'uploads' } }), async context => {
 *   const { fields, files } = await context['forms.Form'].read()
 * })
 */

export type { FormReader, IncomingFile } from './form.ts'
export { Form, FormFile } from './form.ts'
export type { FormsMiddleware } from './forms.ts'
export { forms } from './forms.ts'
export type { FileDirectory, FileHandler, FormLimits, FormsOptions } from './options.ts'
export { urlencoded } from './urlencoded.ts'
