import { type Context, IopaError, reply } from '@iopa/appbuilder'
import type { ServedPaths } from '../options.ts'
import type { DocumentLinks, Viewer, ViewerFile } from '../viewer.ts'

/** The files of a viewer, read when the page is first asked for. */
export class ViewerFiles {
  readonly #viewer: Viewer
  readonly #title: string
  readonly #paths: ServedPaths
  #files: Promise<Readonly<Record<string, ViewerFile>>> | null = null

  constructor(viewer: Viewer, title: string, paths: ServedPaths) {
    this.#viewer = viewer
    this.#title = title
    this.#paths = paths
  }

  page(context: Context): Promise<unknown> {
    return this.#answer(context, '')
  }

  /** @throws IopaError 404 for a file that the viewer does not have. */
  file(context: Context): Promise<unknown> {
    return this.#answer(context, context['iopa.Params']['file'] ?? '')
  }

  async #answer(context: Context, name: string): Promise<unknown> {
    const files = await this.#read()
    const file = Object.hasOwn(files, name) ? files[name] : undefined
    if (file === undefined) throw new IopaError(404, 'no-route', `There is nothing at ${context['iopa.Path']}.`)
    return reply(200, file.body, {
      'content-type': file.type,
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      ...(file.policy === undefined ? undefined : { 'content-security-policy': file.policy })
    })
  }

  #read(): Promise<Readonly<Record<string, ViewerFile>>> {
    const { page = '', ...others } = this.#paths
    const link = (path: string | undefined): string | undefined => (path === undefined ? undefined : relative(page, path))
    const links: DocumentLinks = {
      openapi: link(others.openapi),
      asyncapi: link(others.asyncapi),
      thing: link(others.thing),
      things: link(others.things),
      files: `${relative(page, page)}/`
    }
    this.#files ??= this.#viewer.files(this.#title, links).catch(error => {
      // What is missing may be there the next time.
      this.#files = null
      throw error
    })
    return this.#files
  }
}

/** The path from one to another, so that both may stand behind any prefix. */
const relative = (from: string, to: string): string => '../'.repeat(from.split('/').length - 2) + to.slice(1)
