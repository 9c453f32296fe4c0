import { type Context, defineMiddleware } from '@iopa/appbuilder'
import { markFactory } from '@iopa/appbuilder/extension'
import type { Form, FormReader } from './form.ts'
import { FORM_KEYS } from './keys.ts'
import { readMultipart } from './multipart.ts'
import { type FormSettings, type FormsOptions, settingsOf } from './options.ts'
import { notAForm } from './refusals.ts'
import { readUrlencoded, URLENCODED } from './urlencoded.ts'

/** The type of what `forms` makes. */
export type FormsMiddleware = ReturnType<typeof defineMiddleware<never, 'forms.Form'>>

/**
 * Middleware that gives handlers a way to read forms: `await context['forms.Form'].read()`. It reads nothing by itself.
 * @throws IopaError 500 `bad-option`.
 */
export const forms = (options: FormsOptions = {}): FormsMiddleware => {
  const settings = settingsOf(options, forms)
  return defineMiddleware({ name: 'forms', provides: ['forms.Form'], keys: FORM_KEYS, neutral: true }, (context, next) => {
    context['forms.Form'] = new BodyForm(context, settings)
    return next()
  })
}

markFactory('forms', forms)

/** The form in the body of one request. */
class BodyForm implements FormReader {
  readonly #context: Context
  readonly #settings: FormSettings
  #form: Promise<Form> | null = null

  constructor(context: Context, settings: FormSettings) {
    this.#context = context
    this.#settings = settings
  }

  read(): Promise<Form> {
    if (this.#form !== null) return this.#form
    this.#form = this.#read()
    // A caller that does not wait for it must not end the process.
    this.#form.catch(() => undefined)
    return this.#form
  }

  async #read(): Promise<Form> {
    const { type } = this.#context
    const essence = type.split(';', 1)[0]!.trim().toLowerCase()
    if (essence === URLENCODED) return readUrlencoded(this.#context, this.#settings.limits)
    if (essence === 'multipart/form-data') return readMultipart(this.#context, this.#settings)
    throw notAForm(type)
  }
}
