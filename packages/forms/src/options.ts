import type { Context } from '@iopa/appbuilder'
import { checkOptions, kindOf, optionError } from '@iopa/appbuilder/extension'
import type { IncomingFile } from './form.ts'

/** Bounds of a form. The transport's own limit on bodies (`limits.body`, 1 MiB) counts first. */
export interface FormLimits {
  /** Bytes of the whole body, 32 MiB by default. */
  readonly total?: number
  /** Text fields, 100 by default. */
  readonly fields?: number
  /** Bytes of the value of a text field, 64 KiB by default. */
  readonly fieldSize?: number
  /** Bytes of the name of a field, 100 by default. */
  readonly fieldNameSize?: number
  /** Files, 10 by default. */
  readonly files?: number
  /** Bytes of a file, 8 MiB by default. */
  readonly fileSize?: number
  /** Parts of any kind, 200 by default. */
  readonly parts?: number
}

/** Takes a file as it arrives; what it returns is the `value` of the file. Bytes that it leaves are skipped. */
export type FileHandler = (file: IncomingFile, context: Context) => unknown

/** Where files are written. */
export interface FileDirectory {
  /** A directory, made where it is missing. The files in it have random names. */
  readonly directory: string
}

/** Options of `forms`. */
export interface FormsOptions {
  readonly limits?: FormLimits
  /** Where files go: to a directory, or to a handler. Without it a form with a file is refused with 415. */
  readonly files?: FileDirectory | FileHandler
}

/** Options with their defaults. */
export interface FormSettings {
  readonly limits: Required<FormLimits>
  readonly files: FileDirectory | FileHandler | undefined
}

const OPTIONS: Record<keyof FormsOptions, true> = { limits: true, files: true }
const DIRECTORY: Record<keyof FileDirectory, true> = { directory: true }
const DEFAULTS: Required<FormLimits> = {
  total: 32 * 1024 * 1024,
  fields: 100,
  fieldSize: 64 * 1024,
  fieldNameSize: 100,
  files: 10,
  fileSize: 8 * 1024 * 1024,
  parts: 200
}
const LIMITS = Object.fromEntries(Object.keys(DEFAULTS).map(name => [name, true])) as Record<keyof FormLimits, true>

/** @throws IopaError 500 `bad-option`. */
export const settingsOf = (options: FormsOptions, caller: unknown): FormSettings => {
  checkOptions('forms()', options, OPTIONS, caller)
  checkOptions("'limits' of forms()", options.limits, LIMITS, caller)
  const limits = { ...DEFAULTS }
  for (const [name, value] of Object.entries(options.limits ?? {})) {
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 0)
      throw optionError(`'limits.${name}' of forms() must be a whole number from 0, not ${kindOf(value)}.`)
    limits[name as keyof FormLimits] = value
  }
  const { files } = options
  if (files !== undefined && typeof files !== 'function') {
    checkOptions("'files' of forms()", files, DIRECTORY, caller)
    if (typeof files.directory !== 'string' || files.directory === '')
      throw optionError("'files' of forms() must be a function, or { directory } with the path of a directory.")
  }
  return { limits, files }
}
