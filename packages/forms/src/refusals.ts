import { IopaError } from '@iopa/appbuilder'

/** The body is no form. */
export const notAForm = (type: string): IopaError =>
  new IopaError(
    415,
    'not-a-form',
    `This resource takes a form, not '${type.slice(0, 100)}': send multipart/form-data or application/x-www-form-urlencoded.`
  )

export const malformedForm = (detail: string, cause?: unknown): IopaError =>
  new IopaError(400, 'malformed-form', detail, cause === undefined ? undefined : { cause })

export const compressedForm = (): IopaError => new IopaError(415, 'unsupported-coding', 'Send the form without Content-Encoding.')

export const filesRefused = (): IopaError => new IopaError(415, 'files-not-accepted', 'This form takes no files.')

export const formTooLarge = (most: number): IopaError => new IopaError(413, 'form-too-large', `The form has more than ${most} bytes.`)

export const fieldTooLarge = (most: number): IopaError => new IopaError(413, 'field-too-large', `A field of the form has more than ${most} bytes.`)

export const fieldNameTooLong = (most: number): IopaError =>
  new IopaError(413, 'field-name-too-long', `The name of a field of the form has more than ${most} bytes.`)

export const fileTooLarge = (most: number): IopaError => new IopaError(413, 'file-too-large', `A file of the form has more than ${most} bytes.`)

export const tooManyFields = (most: number): IopaError => new IopaError(413, 'too-many-fields', `The form has more than ${most} fields.`)

export const tooManyFiles = (most: number): IopaError => new IopaError(413, 'too-many-files', `The form has more than ${most} files.`)

export const tooManyParts = (most: number): IopaError => new IopaError(413, 'too-many-parts', `The form has more than ${most} parts.`)
