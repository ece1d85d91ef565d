// Whether the server answers. While it does not, a line says so, and its health is asked for again and again.
import { byId } from './dom';

export class Connection {
  #up = true;
  readonly #line = byId('offline', HTMLElement);

  // back is called when the server answers again; ask tries to reach it.
  constructor(
    private readonly ask: () => Promise<unknown>,
    private readonly back: () => void,
  ) {}

  reached(answer: boolean): void {
    if (answer === this.#up) return;
    this.#up = answer;
    this.#line.hidden = answer;
    if (answer) this.back();
    else void this.#wait();
  }

  async #wait(): Promise<void> {
    for (let pause = 1000; !this.#up; pause = Math.min(pause * 1.5, 8000)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      await this.ask().catch(() => undefined);
    }
  }
}
